"""Which settings have no effect, because of the value of another one or of the environment's spaces."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

BUILT_IN = ("separate", "shared")
"""The architectures of which it is known what they read."""

NO_IMAGES = "observations without images"
ONLY_IMAGES = "observations of images alone"
NO_NUMBERS = "observations without numbers"
NO_DEVIATION = "discrete actions"

_CONVOLUTIONS = ("arch.cnn.channels", "arch.cnn.kernel_sizes", "arch.cnn.strides", "arch.cnn.features")

_NETWORKS = ("actor", "critic")
_OF_HIDDEN_LAYERS = ("hidden_sizes", "activation", "layer_norm")
"""The settings of hidden layers, which each of two separate networks may have of its own."""

_BY_SETTINGS: tuple[tuple[dict[str, str], tuple[str, ...]], ...] = (
    ({"normalizer.name": "none"}, ("normalizer.clip",)),
    ({"normalizer.name": "bounds"}, ("normalizer.clip",)),
    ({"clip.name": "none"}, ("clip.max_norm", "clip.max_value", "clip.scope")),
    ({"clip.name": "norm"}, ("clip.max_value",)),
    ({"clip.name": "value"}, ("clip.max_norm", "clip.scope")),
    ({"arch.name": "separate"}, ("optim.trunk",)),
    ({"optim.name": "single"}, ("optim.trunk",)),
    ({"optim.name": "dual"}, ("algo.value_coef",)),
    # Each of the two optimizers then steps one module.
    ({"arch.name": "separate", "optim.name": "dual"}, ("clip.scope",)),
    ({"algo.entropy_coef": "0"}, ("algo.entropy_anneal", "algo.entropy_final_share")),
    ({"algo.entropy_anneal": "none"}, ("algo.entropy_final_share",)),
    # The policy has not changed before its first step.
    (
        {"algo.name": "ppo", "algo.epochs": "1", "algo.minibatches": "1"},
        ("algo.clip_range", "algo.clip_anneal", "algo.clip_final_share", "algo.clip_values", "algo.target_kl"),
    ),
    ({"algo.name": "ppo", "algo.clip_anneal": "none"}, ("algo.clip_final_share",)),
    # The advantage of a single step is its TD error.
    ({"algo.n_steps": "1"}, ("algo.gae_lambda",)),
    ({"eval.every": "null"}, ("eval.episodes", "eval.deterministic")),
    ({"arch.name": "shared", "arch.hidden_sizes": "[]"}, ("arch.activation", "arch.layer_norm")),
    ({"arch.name": "shared"}, tuple(f"arch.{side}.{key}" for side in _NETWORKS for key in _OF_HIDDEN_LAYERS)),
    ({"policy.name": "beta"}, ("policy.std",)),
    ({"arch.name": "separate", "policy.name": "beta"}, ("arch.log_std_init",)),
    ({"arch.name": "shared", "policy.name": "beta"}, ("arch.log_std_init",)),
    ({"arch.name": "separate", "arch.init": "torch"}, ("arch.policy_gain",)),
    ({"arch.name": "shared", "arch.init": "torch"}, ("arch.policy_gain",)),
)
"""Settings without effect where other settings have these values; runs that differ only in them are repeats."""

_BY_SPACES = {
    NO_IMAGES: _CONVOLUTIONS,
    ONLY_IMAGES: tuple(f"arch.{side}{key}" for side in ("", "actor.", "critic.") for key in _OF_HIDDEN_LAYERS),
    NO_NUMBERS: ("normalizer.name", "normalizer.clip"),
    NO_DEVIATION: ("arch.log_std_init", "policy.std"),
}
"""Settings without effect where this is known of an environment's spaces."""

ALL_FACTS = tuple(_BY_SPACES)
"""All that can be known of spaces, each of which leaves settings without effect."""

_NOT_READ_BY = {
    "adam": ("alpha", "momentum"),
    "rmsprop": ("betas",),
    "rmsprop_tf": ("betas",),
    "sgd": ("alpha", "betas", "eps"),
}
"""The settings of an optimizer that its algorithm does not read."""

_SIDES = ("optim", "optim.actor", "optim.critic")

SOMETIMES_WITHOUT_EFFECT = frozenset(
    [key for _, keys in _BY_SETTINGS for key in keys]
    + [f"arch.{side}{key}" for side in ("", "actor.", "critic.") for key in _OF_HIDDEN_LAYERS]
    + [f"{side}.{key}" for side in _SIDES for keys in (*_NOT_READ_BY.values(), ("final_share",)) for key in keys]
)
"""The settings that other settings can leave without effect."""


def without_effect(settings: Mapping[str, object], spaces: Iterable[str] = ()) -> dict[str, str]:
    """Return the settings that nothing in a run reads, each with the reason in words.

    Args:
        settings: The run's settings by dotted key; those that are null may be missing.
        spaces: What is known of the environment's spaces: NO_IMAGES, ONLY_IMAGES, NO_NUMBERS, NO_DEVIATION.
    """
    found: dict[str, str] = {}
    for conditions, keys in _BY_SETTINGS:
        if all(_text(settings.get(name)) == value for name, value in conditions.items()):
            found |= dict.fromkeys(keys, " and ".join(f"{name}={value}" for name, value in conditions.items()))
    for side in _SIDES[1:] if settings.get("optim.name") == "dual" else _SIDES[:1]:
        algorithm = str(settings.get(f"{side}.algorithm"))
        found |= {f"{side}.{key}": f"{side}.algorithm={algorithm}" for key in _NOT_READ_BY.get(algorithm, ())}
        if settings.get(f"{side}.anneal") == "none":
            found[f"{side}.final_share"] = f"{side}.anneal=none"
    if settings.get("arch.name") == "separate":
        found |= _of_separate_networks(settings)
    for fact in spaces:
        is_known = settings.get("arch.name") in BUILT_IN
        found |= {key: fact for key in _BY_SPACES[fact] if is_known or not key.startswith("arch.")}
    return found


def _of_separate_networks(settings: Mapping[str, object]) -> dict[str, str]:
    """Return what two separate networks do not read: what both replace, and what concerns hidden layers they lack."""
    found: dict[str, str] = {}
    replaced: dict[str, list[str]] = {key: [] for key in _OF_HIDDEN_LAYERS}
    for side in _NETWORKS:
        sizes = f"arch.{side}.hidden_sizes"
        sizes = "arch.hidden_sizes" if _text(settings.get(sizes)) == "null" else sizes
        is_linear = _text(settings.get(sizes)) == "[]"
        for key in _OF_HIDDEN_LAYERS:
            own = f"arch.{side}.{key}"
            if is_linear and key != "hidden_sizes":
                found[own] = f"{sizes}=[]"
                replaced[key].append(found[own])
            elif (value := _text(settings.get(own))) != "null":
                replaced[key].append(f"{own}={value}")
    for key, reasons in replaced.items():
        if len(reasons) == len(_NETWORKS):
            found[f"arch.{key}"] = " and ".join(dict.fromkeys(reasons))
    return found


def _text(value: object) -> str:
    """Return a value as it is written in the conditions: `null`, and numbers without zeros behind the point."""
    if value is None:
        return "null"
    try:
        return f"{float(str(value)):g}"
    except ValueError:
        return str(value)
