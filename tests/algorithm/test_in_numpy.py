"""Training that computes with NumPy arrays is training with tensors, up to rounding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from acexp.algorithm.assembly import assemble, resolve
from acexp.architectures import ARCHITECTURES
from acexp.architectures.separate import Separate
from acexp.config import RunConfig
from acexp.core.arrays import as_tensor
from acexp.optimizers.clipping import CLIPS, ClipNorm
from tests.helpers import advance, snapshot

Config = Callable[..., RunConfig]

RUNS = {
    "cliffwalking": ("env=cliffwalking", "arch=shared", "optim=dual"),
    "blackjack": ("env=gym", "env.id=Blackjack-v1", "clip=value", "clip.max_value=0.01", "optim.algorithm=adam"),
    "halfcheetah": ("env=halfcheetah", "arch=separate", "algo.normalize_advantage=true", "clip.scope=module"),
    "pendulum": ("env=gym", "env.id=Pendulum-v1", "normalizer=bounds", "optim.algorithm=rmsprop_tf", "arch.init=torch"),
    "std of the network": ("env=halfcheetah", "policy.std=network", "reward_normalizer=return_std", "clip=none"),
    "relu": ("env=lunarlander", "arch.activation=relu", "optim.algorithm=sgd", "optim.momentum=0.9"),
    "rmsprop": ("env=lunarlander", "optim.algorithm=rmsprop", "optim.momentum=0.5", "algo.entropy_coef=0.1"),
    "linear": ("env=gym", "env.id=CartPole-v1", "arch.hidden_sizes=[]", "normalizer=running"),
    "ppo": ("env=halfcheetah", "algo=ppo", "algo.clip_values=true", "algo.epochs=2", "algo.clip_range=0.01"),
    "ppo, stopped": ("env=gym", "env.id=CartPole-v1", "algo=ppo", "algo.target_kl=1e-4", "optim.learning_rate=0.01"),
}
IN_TORCH = {
    "gelu": ("env=halfcheetah", "arch.activation=gelu"),
    "layer normalization": ("env=halfcheetah", "arch.layer_norm=true"),
    "beta": ("env=halfcheetah", "policy=beta"),
    "squashed": ("env=halfcheetah", "policy=squashed"),
    "long one-hot vectors": ("env=gym", "env.id=Taxi-v4"),
}


def trained(configs: list[RunConfig]) -> tuple[dict[str, Any], bool]:
    """What is left after three updates, and whether NumPy computed them."""
    with assemble(configs) as population:
        statistics = advance(population, 3)
        group = statistics[-1].norms[0]
        rollout = population.collector.collect()
        found = {"actions": rollout.actions, "before": group.before, "after": group.after, "clipped": group.clipped}
        found |= {name: tensor.clone() for name, tensor in population.tensors().items() if tensor.is_floating_point()}
        return {k: as_tensor(x).clone() for k, x in found.items()} | snapshot(population), _is_in_numpy(rollout)


def _is_in_numpy(rollout: Any) -> bool:
    return all(isinstance(x, np.ndarray) for x in (*rollout.observations, rollout.actions, rollout.rewards))


@pytest.mark.parametrize("settings", RUNS.values(), ids=RUNS)
def test_training_is_that_of_torch(config: Config, settings: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    configs = [resolve(config(*settings, f"seed={seed}")) for seed in (0, 1)]
    found, in_numpy = trained(configs)
    monkeypatch.setattr("acexp.algorithm.assembly.computes_in_numpy", lambda part: False)
    expected, still_in_numpy = trained(configs)
    assert (in_numpy, still_in_numpy) == (True, False)
    for name, x in expected.items():
        # What simulators do with actions that are rounded otherwise is their own matter.
        if not name.startswith("collector."):
            torch.testing.assert_close(
                found[name], x, rtol=2e-3, atol=2e-5, msg=lambda text, name=name: f"{name}: {text}"
            )


@pytest.mark.parametrize("settings", IN_TORCH.values(), ids=IN_TORCH)
def test_what_has_no_formula_in_numpy_trains_in_torch(
    config: Config, settings: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("acexp.core.observations.LONG_ONE_HOT", 100)
    assert not trained([resolve(config(*settings))])[1]


def test_a_users_part_gets_tensors_also_where_it_inherits_from_one_of_ours(config: Config) -> None:
    @CLIPS.register("their_norm")
    class TheirNorm(ClipNorm):
        def __call__(self, gradient: Any, segments: Any, norms: Any) -> Any:
            gradient.mul_(1.0)
            return super().__call__(gradient, segments, norms)

    @ARCHITECTURES.register("their_networks")
    class TheirNetworks(Separate):
        def policy(self, inputs: Any, tape: Any = None) -> Any:
            return super().policy(tuple(x.clone() for x in inputs), tape)

    try:
        for own in ("clip.name=their_norm", "arch.name=their_networks"):
            assert not trained([resolve(config("env=halfcheetah", own))])[1]
    finally:
        for registry, name in ((CLIPS, "their_norm"), (ARCHITECTURES, "their_networks")):
            del registry._entries[name]


def test_members_equal_runs_alone_to_the_last_bit(config: Config) -> None:
    """With any number of environments: NumPy computes the members one after the other."""
    settings = ("env=gym", "env.id=Pendulum-v1", "algo.n_envs=3", "algo.normalize_advantage=true")
    configs = [resolve(config(*settings, f"seed={seed}")) for seed in range(3)]
    together, in_numpy = trained(configs)
    assert in_numpy
    for m, member in enumerate(configs):
        alone, _ = trained([member])
        for name, x in alone.items():
            part = together[name][:, m] if name == "actions" else together[name][m]
            assert torch.equal(part, x[:, 0] if name == "actions" else x[0]), (name, m)
