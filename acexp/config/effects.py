"""Which settings have no effect, because of the value of another one."""

from __future__ import annotations

from collections.abc import Mapping

WITHOUT_EFFECT: dict[tuple[str, str | None], tuple[str, ...]] = {
    ("clip.name", "none"): ("clip.max_norm", "clip.max_value", "clip.scope"),
    ("clip.name", "norm"): ("clip.max_value",),
    ("clip.name", "value"): ("clip.max_norm", "clip.scope"),
    ("arch.name", "separate"): ("optim.trunk",),
    ("optim.name", "single"): ("optim.trunk",),
}
"""Settings without effect if another setting has this value; runs that differ only in them are repeats."""

_WITHOUT_EFFECT_ON_TRAINING: dict[tuple[str, str | None], tuple[str, ...]] = {
    **WITHOUT_EFFECT,
    ("optim.name", "dual"): ("a2c.value_coef",),
    ("eval.every", None): ("eval.episodes", "eval.deterministic"),
}

_NOT_READ_BY = {
    "adam": ("alpha", "momentum"),
    "rmsprop": ("betas",),
    "rmsprop_tf": ("betas",),
    "sgd": ("alpha", "betas", "eps"),
}
"""The settings of an optimizer that its algorithm does not read."""


def without_effect(settings: Mapping[str, object]) -> dict[str, str]:
    """Return the settings that nothing in a run reads, each with the setting that is the reason.

    `settings` has the run's settings by dotted key; those that are null may be missing.
    """
    found = {
        key: f"{name}={'null' if value is None else value}"
        for (name, value), keys in _WITHOUT_EFFECT_ON_TRAINING.items()
        if settings.get(name) == value
        for key in keys
    }
    for side in ("optim.actor", "optim.critic") if settings.get("optim.name") == "dual" else ("optim",):
        algorithm = str(settings.get(f"{side}.algorithm"))
        found |= {f"{side}.{key}": f"{side}.algorithm={algorithm}" for key in _NOT_READ_BY.get(algorithm, ())}
    return found
