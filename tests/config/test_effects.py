"""The table of settings without effect: each row is trained with two values, and must learn the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from acexp.algorithm.assembly import assemble, resolve
from acexp.config import RunConfig, settings
from acexp.config.effects import (
    _BY_SETTINGS,
    BUILT_IN,
    NO_DEVIATION,
    NO_IMAGES,
    NO_NUMBERS,
    ONLY_IMAGES,
    without_effect,
)
from tests.helpers import advance, snapshot

Config = Callable[..., RunConfig]

SMALL = ("env=lunarlander", "engine=gymnasium", "algo.n_envs=3", "algo.n_steps=4", "arch.hidden_sizes=[8]")
SMALL += ("optim.anneal=none",)
PPO = ("algo=ppo", "algo.minibatches=3")

CHEETAH = ("env=halfcheetah", "engine=auto", "algo.n_envs=3", "algo.n_steps=4")

VALUES = {
    "normalizer.clip": ("0.1", "10"),
    "clip.max_norm": ("0.01", "1"),
    "clip.max_value": ("1e-4", "1"),
    "clip.scope": ("optimizer", "module"),
    "optim.trunk": ("actor", "critic"),
    "algo.value_coef": ("0.1", "2"),
    "algo.entropy_anneal": ("none", "linear"),
    "algo.gae_lambda": ("0.1", "0.9"),
    "algo.entropy_final_share": ("0", "0.5"),
    "algo.clip_range": ("0.01", "0.2"),
    "algo.clip_anneal": ("none", "linear"),
    "algo.clip_final_share": ("0", "0.5"),
    "optim.final_share": ("0", "0.5"),
    "algo.clip_values": ("true", "false"),
    "algo.target_kl": ("1e-9", "10"),
    **{f"arch.{side}hidden_sizes": ("[4]", "[6]") for side in ("", "actor.", "critic.")},
    **{f"arch.{side}activation": ("tanh", "relu") for side in ("", "actor.", "critic.")},
    **{f"arch.{side}layer_norm": ("false", "true") for side in ("", "actor.", "critic.")},
    "arch.policy_gain": ("0.01", "1"),
    "arch.log_std_init": ("0", "-1"),
    "policy.std": ("parameter", "network"),
    "eval.episodes": ("1", "5"),
    "eval.deterministic": ("true", "false"),
    "optim.alpha": ("0.5", "0.9"),
    "optim.momentum": ("0", "0.9"),
    "optim.betas": ("[0.5,0.5]", "[0.9,0.999]"),
    "optim.eps": ("1e-8", "1e-1"),
}
READ = {
    "normalizer.clip": ("normalizer=running",),
    "clip.max_norm": ("clip=norm",),
    "clip.max_value": ("clip=value",),
    "clip.scope": ("clip=norm", "clip.max_norm=0.1", "arch=separate", "optim=single"),
    "optim.trunk": ("arch=shared", "optim=dual"),
    "algo.value_coef": ("optim=single",),
    "algo.entropy_anneal": ("algo.entropy_coef=0.1",),
    "algo.gae_lambda": (),
    "algo.entropy_final_share": ("algo.entropy_coef=0.1", "algo.entropy_anneal=linear"),
    "algo.clip_range": PPO,
    "algo.clip_anneal": (*PPO, "algo.clip_range=0.01"),
    "algo.clip_final_share": (*PPO, "algo.clip_range=0.01", "algo.clip_anneal=cosine"),
    "optim.final_share": ("optim.anneal=linear",),
    "algo.clip_values": (*PPO, "algo.clip_range=1e-3"),
    "algo.target_kl": PPO,
    "arch.hidden_sizes": ("arch.critic.hidden_sizes=[8]",),
    "arch.activation": ("arch.hidden_sizes=[]", "arch.critic.hidden_sizes=[8]"),
    "arch.layer_norm": ("arch.actor.layer_norm=true",),
    "arch.actor.hidden_sizes": (),
    "arch.critic.hidden_sizes": ("arch.actor.hidden_sizes=[]",),
    "arch.actor.activation": ("arch.hidden_sizes=[]", "arch.actor.hidden_sizes=[8]"),
    "arch.critic.activation": ("arch.actor.hidden_sizes=[]",),
    "arch.actor.layer_norm": ("arch.layer_norm=true",),
    "arch.critic.layer_norm": ("arch.actor.hidden_sizes=[]",),
    "arch.policy_gain": (),
    "arch.log_std_init": (*CHEETAH, "policy.std=network"),
    "policy.std": CHEETAH,
    "optim.alpha": ("optim.algorithm=rmsprop",),
    "optim.momentum": ("optim.algorithm=sgd",),
    "optim.betas": ("optim.algorithm=adam",),
    "optim.eps": ("optim.algorithm=adam",),
}
"""Settings with which each of them is read; evaluation changes no parameters."""


def learned(config: RunConfig) -> dict[str, torch.Tensor]:
    """The parameters after a few updates."""
    with assemble([resolve(config)]) as population:
        advance(population, 3, progress=0.5)
        return snapshot(population)


def are_equal(first: RunConfig, second: RunConfig) -> bool:
    one, other = learned(first), learned(second)
    return all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def overrides(conditions: dict[str, str]) -> list[str]:
    """The conditions of a row, as they are typed: a choice of a group is made by the group's name."""
    return [f"{key.removesuffix('.name')}={value}" for key, value in conditions.items()]


ROWS = [(conditions, key) for conditions, keys in _BY_SETTINGS for key in keys]
ALGORITHMS = [
    ({"optim.algorithm": algorithm}, f"optim.{key}")
    for algorithm, keys in {
        "adam": ("alpha", "momentum"),
        "rmsprop": ("betas",),
        "rmsprop_tf": ("betas",),
        "sgd": ("alpha", "betas", "eps"),
    }.items()
    for key in keys
]
ALGORITHMS.append(({"optim.anneal": "none"}, "optim.final_share"))


LINEAR = {"arch.name": "separate", "arch.hidden_sizes": "[]"}
LINEAR_SIDES = {"arch.name": "separate", "arch.actor.hidden_sizes": "[]", "arch.critic.hidden_sizes": "[]"}
SEPARATE = [
    *((LINEAR, f"arch.{side}{key}") for side in ("", "actor.", "critic.") for key in ("activation", "layer_norm")),
    *((LINEAR_SIDES, f"arch.{key}") for key in ("hidden_sizes", "activation", "layer_norm")),
    ({"arch.name": "separate", "arch.actor.hidden_sizes": "[]"}, "arch.actor.activation"),
    ({"arch.name": "separate", "arch.critic.hidden_sizes": "[]"}, "arch.critic.layer_norm"),
    ({"arch.name": "separate", "arch.actor.activation": "elu", "arch.critic.activation": "relu"}, "arch.activation"),
    ({"arch.name": "separate", "arch.actor.layer_norm": "true", "arch.critic.hidden_sizes": "[]"}, "arch.layer_norm"),
]
"""What two separate networks do not read, which is not in the table."""


@pytest.mark.parametrize(("conditions", "key"), [*ROWS, *ALGORITHMS, *SEPARATE], ids=str)
def test_what_is_said_to_have_no_effect_has_none(config: Config, conditions: dict[str, str], key: str) -> None:
    # Only numbers have the distribution beta.
    given = [*SMALL, *(CHEETAH if conditions.get("policy.name") == "beta" else ()), *overrides(conditions)]
    runs = []
    for value in VALUES[key]:
        # A layout with one optimizer has no such setting to begin with.
        own = [] if key == "optim.trunk" and conditions.get("optim.name") == "single" else [f"{key}={value}"]
        layout = ["optim=dual"] if key == "optim.trunk" and own and "optim.name" not in conditions else []
        runs.append(config(*given, *layout, *own))
        assert key in without_effect(settings(runs[-1]))
    assert are_equal(*runs)


@pytest.mark.parametrize("key", READ)
def test_what_is_read_has_an_effect_and_is_not_named(config: Config, key: str) -> None:
    runs = [config(*SMALL, *READ[key], f"{key}={value}") for value in VALUES[key]]
    assert all(key not in without_effect(settings(run)) for run in runs)
    assert not are_equal(*runs)


@pytest.mark.parametrize("architecture", [*BUILT_IN, "mine"])
def test_spaces_leave_settings_of_the_built_in_architectures_without_effect(architecture: str) -> None:
    given = {"arch.name": architecture, "arch.cnn.features": 16, "clip.name": "norm"}
    facts = (NO_IMAGES, ONLY_IMAGES, NO_NUMBERS, NO_DEVIATION)
    found = without_effect(given, facts)
    assert found["normalizer.name"] == found["normalizer.clip"] == NO_NUMBERS
    assert found["policy.std"] == NO_DEVIATION
    known = {"arch.cnn.features": NO_IMAGES, "arch.hidden_sizes": ONLY_IMAGES, "arch.log_std_init": NO_DEVIATION}
    for key, fact in known.items():
        assert found.get(key) == (fact if architecture in BUILT_IN else None)
    assert "arch.cnn.features" not in without_effect(given)


def test_reasons_are_words_and_null_and_numbers_are_recognized() -> None:
    found = without_effect({"arch.name": "separate", "optim.name": "dual", "algo.entropy_coef": 0.0, "algo.n_steps": 1})
    assert found["clip.scope"] == "arch.name=separate and optim.name=dual"
    assert found["algo.entropy_anneal"] == "algo.entropy_coef=0"
    assert found["eval.episodes"] == "eval.every=null"
    assert "eval.episodes" not in without_effect({"eval.every": 1000})
