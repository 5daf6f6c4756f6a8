"""Every registered name, every combination, every environment: trains, stays finite, and writes every tag."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import gymnasium as gym
import pytest

from acexp.algorithm.assembly import check
from acexp.config import GROUPS, RunConfig, choices
from acexp.config.groups import config_directory, registries
from acexp.core.configs.wrappers import known_wrappers
from acexp.core.errors import UserError
from acexp.core.registry import Registry
from acexp.optimizers import ALGORITHMS
from acexp.runs.outcome import Outcome
from acexp.runs.run_directory import Status
from tests.helpers import metrics

Config = Callable[..., RunConfig]
Train = Callable[..., list[Outcome]]

SMALL = ("algo.n_envs=2", "algo.n_steps=4", "total_steps=24", "log.every=8")
ENVIRONMENTS = {
    "cliffwalking": ("env=cliffwalking",),
    "lunarlander": ("env=lunarlander",),
    "halfcheetah": ("env=halfcheetah",),
    "pong": ("env=pong", "engine.threads=1", "arch.cnn.features=32"),
}
UNBOUNDED = {"halfcheetah"}


def expected_tags(config: RunConfig, *, continuous: bool) -> set[str]:
    parts = ["all", "actor", "critic"] + (["trunk"] if config.arch.name == "shared" else [])
    groups = ["joint"] if config.optim.name == "single" else ["actor", "critic"]
    tags = {f"losses/{name}" for name in ("actor", "critic", "entropy", "total")}
    tags |= {f"grad_norm/{part}/{when}_clip" for part in parts for when in ("before", "after")}
    tags |= {f"grad_norm/optim_{group}/{when}_clip" for group in groups for when in ("before", "after")}
    tags |= {f"grad_norm/optim_{group}/clip_fraction" for group in groups}
    tags |= {f"optim/learning_rate/{group}" for group in groups}
    tags |= {"policy/entropy", "charts/valid_steps", "value/explained_variance"}
    tags |= {"grad/trunk_cosine"} if "trunk" in parts else set()
    tags |= {"algo/approx_kl", "algo/clip_fraction"} if config.algo.name == "ppo" else set()
    return tags | ({"policy/std"} if continuous else set())


def trains(train: Train, *configs: RunConfig, name: str = "run") -> None:
    """Train them as one population."""
    for config, outcome in zip(configs, train(*configs, name=name), strict=True):
        assert outcome.status is Status.DONE, outcome.error
        lines = metrics(outcome.directory)
        assert [line["step"] for line in lines] == [8, 16, 24]
        assert all(math.isfinite(value) for line in lines for value in line.values())
        continuous = "policy/std" in lines[-1]
        # Returns that do not vary have no explained variance; Pong's first 24 frames pay nothing.
        optional = {"value/explained_variance", "charts/episode_return", "charts/episode_length"}
        for line in lines:
            assert set(line) - {"step"} - optional == expected_tags(config, continuous=continuous) - optional


GRID = list(
    product(
        ENVIRONMENTS,
        ("separate", "shared"),
        ("single", "dual"),
        ("auto", "none", "bounds", "running"),
    )
)


@pytest.mark.parametrize("combination", GRID, ids=["-".join(row) for row in GRID])
def test_every_combination_trains(config: Config, train: Train, combination: tuple[str, ...]) -> None:
    """With every kind of clipping: two of the three can share a population."""
    env, arch, optim, normalizer = combination
    chosen = config(*ENVIRONMENTS[env], *SMALL, f"arch={arch}", f"optim={optim}", f"normalizer={normalizer}")
    norm, none, value = (replace(chosen, clip=replace(chosen.clip, name=name)) for name in ("norm", "none", "value"))
    if normalizer == "bounds" and env in UNBOUNDED:
        for each in (norm, none, value):
            with pytest.raises(UserError, match="finite bounds"):
                check(each)
    else:
        trains(train, norm, none)
        trains(train, value, name="value")


def registered(group: str) -> list[str]:
    """Every name in the group's YAML or its registry, without those that other tests have registered."""
    registry = registries().get(group)
    names = [choice.name for choice in choices(group, [config_directory()])]
    known = registry.names if isinstance(registry, Registry) else ()
    ours = [name for name in known if registry[name].build.__module__.startswith("acexp.")]
    return names + [name for name in ours if name not in names]


NAMES = [(group, name) for group in GROUPS for name in registered(group)]


@pytest.mark.parametrize(("group", "name"), NAMES, ids=["=".join(row) for row in NAMES])
def test_every_registered_name_composes_builds_and_trains(config: Config, train: Train, group: str, name: str) -> None:
    environment = {"ale": ("env=pong",), "mujoco": ("env=halfcheetah",)}.get(name, ()) if group == "engine" else ()
    environment = ("env=halfcheetah",) if group == "policy" else environment
    identity = ("env.id=CartPole-v1",) if (group, name) == ("env", "gym") else ()
    is_choice = name in {choice.name for choice in choices(group, [config_directory()])}
    chosen = f"{group}={name}" if is_choice else f"{group}.name={name}"
    parts = ("algo.minibatches=2",) if name.endswith("ppo") else ()
    trains(train, config(*environment, *SMALL, chosen, *identity, *parts, "engine.threads=1"))


CARTPOLE, PENDULUM, CARS = "CartPole-v1", "Pendulum-v1", "CarRacing-v3"
WRAPPERS = {
    "AddRenderObservation": (CARTPOLE, "render_only: false"),
    "AddWhiteNoise": (CARTPOLE, "probability_of_noise_per_pixel: 0.1"),
    "ClipAction": (PENDULUM, ""),
    "ClipReward": (PENDULUM, "min_reward: -1, max_reward: 1"),
    "DelayObservation": (CARTPOLE, "delay: 2"),
    "DiscretizeAction": (PENDULUM, "bins: 3"),
    "DiscretizeObservation": ("MountainCar-v0", "bins: 5"),
    "DtypeObservation": (CARTPOLE, "dtype: float64"),
    "FilterObservation": ("Blackjack-v1", "filter_keys: [0, 1]"),
    "FlattenObservation": ("Blackjack-v1", ""),
    "FrameStackObservation": (CARTPOLE, "stack_size: 4"),
    "GrayscaleObservation": (CARS, ""),
    "MaxAndSkipObservation": (CARTPOLE, "skip: 2"),
    "ObstructView": (CARTPOLE, "obstructed_pixels_ratio: 0.5, obstruction_width: 10"),
    "OrderEnforcing": (CARTPOLE, ""),
    "PassiveEnvChecker": (CARTPOLE, ""),
    "RecordEpisodeStatistics": (CARTPOLE, ""),
    "RepeatAction": (CARTPOLE, "num_repeats: 2"),
    "RescaleAction": (PENDULUM, "min_action: -0.5, max_action: [0.5]"),
    "RescaleObservation": ("MountainCar-v0", "min_obs: [0, -2], max_obs: 3"),
    "ReshapeObservation": (CARTPOLE, "shape: [2, 2]"),
    "ResizeObservation": (CARS, "shape: [48, 48]"),
    "StickyAction": (CARTPOLE, "repeat_action_probability: 0.5"),
    "TimeAwareObservation": (CARTPOLE, ""),
    "TimeLimit": (CARTPOLE, "max_episode_steps: 3"),
}
"""An environment that each of Gymnasium's wrappers suits, and its arguments."""


@pytest.mark.filterwarnings("ignore:.*precision lowered")
@pytest.mark.parametrize("name", sorted(gym.wrappers.__all__))
def test_every_wrapper_of_gymnasium_trains_or_is_refused(config: Config, train: Train, name: str) -> None:
    environment, arguments = WRAPPERS.get(name, (CARTPOLE, ""))
    draws = name in ("AddRenderObservation", "AddWhiteNoise", "ObstructView")
    chain = f"env.wrappers=[{{{', '.join(filter(None, (f'name: {name}', arguments)))}}}]"
    drawing = ("+env.kwargs.render_mode=rgb_array",) if draws else ()
    cnn = ("arch.cnn.channels=[2]", "arch.cnn.kernel_sizes=[16]", "arch.cnn.strides=[16]", "arch.cnn.features=8")
    settings = ("env=gym", f"env.id={environment}", *SMALL, *cnn, *drawing, chain)
    assert (name in WRAPPERS) == (name in known_wrappers()), "just those are listed that train"
    if name in WRAPPERS:
        trains(train, config(*settings))
    else:
        with pytest.raises(UserError, match=f"The wrapper {name} cannot be used: "):
            config(*settings)


@pytest.mark.parametrize("algorithm", ALGORITHMS.names)
@pytest.mark.parametrize("layout", ["single", "dual"])
@pytest.mark.parametrize("anneal", ["none", "linear", "cosine"])
def test_every_algorithm_trains(config: Config, train: Train, algorithm: str, layout: str, anneal: str) -> None:
    trains(train, config(*SMALL, f"optim={layout}", f"optim.algorithm={algorithm}", f"optim.anneal={anneal}"))


@pytest.mark.parametrize("trunk", ["both", "actor", "critic"])
@pytest.mark.parametrize("scope", ["optimizer", "module"])
def test_every_owner_and_scope_trains(config: Config, train: Train, trunk: str, scope: str) -> None:
    trains(train, config(*SMALL, "arch=shared", "optim=dual", f"optim.trunk={trunk}", f"clip.scope={scope}"))


@pytest.mark.parametrize("policy", registered("policy"))
@pytest.mark.parametrize("std", ["parameter", "network"])
@pytest.mark.parametrize("arch", ["separate", "shared"])
@pytest.mark.parametrize("optim", ["single", "dual"])
def test_every_policy_trains(config: Config, train: Train, policy: str, std: str, arch: str, optim: str) -> None:
    chosen = [f"policy={policy}", f"policy.std={std}", f"arch={arch}", f"optim={optim}", "algo.entropy_coef=0.01"]
    trains(train, *(config(*ENVIRONMENTS["halfcheetah"], *SMALL, *chosen, f"seed={n}") for n in (0, 1)))


@pytest.mark.parametrize("policy", [name for name in registered("policy") if name != "auto"])
@pytest.mark.parametrize("env", ["cliffwalking", "lunarlander", "pong"])
def test_policies_of_numbers_are_refused_for_discrete_actions(config: Config, policy: str, env: str) -> None:
    with pytest.raises(UserError, match=f"policy={policy} is a distribution of numbers"):
        check(config(*ENVIRONMENTS[env], *SMALL, f"policy={policy}"))


SIDES = {
    "normalized": ("arch.layer_norm=true",),
    "gain": ("arch.policy_gain=1",),
    "sizes": ("arch.actor.hidden_sizes=[]", "arch.critic.hidden_sizes=[16,8]"),
    "all": ("arch.actor.layer_norm=true", "arch.critic.activation=relu", "arch.critic.hidden_sizes=[9]"),
}


@pytest.mark.parametrize("env", ["cliffwalking", "halfcheetah"])
@pytest.mark.parametrize("arch", ["separate", "shared"])
@pytest.mark.parametrize("optim", ["single", "dual"])
@pytest.mark.parametrize("sides", SIDES.values(), ids=SIDES)
def test_every_network_trains(
    config: Config, train: Train, env: str, arch: str, optim: str, sides: tuple[str, ...]
) -> None:
    chosen = [config(*ENVIRONMENTS[env], *SMALL, f"arch={arch}", f"optim={optim}", *sides, f"seed={n}") for n in (0, 1)]
    trains(train, *chosen)


def test_every_group_has_a_default_and_a_line_for_each_choice() -> None:
    for group in GROUPS:
        for choice in choices(group, [config_directory()]):
            assert choice.summary, f"{group}={choice.name} has no description"
    assert [choice.name for choice in choices("arch", [config_directory()])] == ["separate", "shared"]


def zoo() -> list[str]:
    """Every classic-control, toy-text, box2d and MuJoCo v5 environment that Gymnasium registers, and five games."""
    folders = ("classic_control", "toy_text", "box2d", "mujoco")
    ids = [
        spec.id
        for spec in gym.registry.values()
        if isinstance(spec.entry_point, str)
        and any(spec.entry_point.startswith(f"gymnasium.envs.{folder}") for folder in folders)
        and (not spec.entry_point.startswith("gymnasium.envs.mujoco") or spec.id.endswith("-v5"))
    ]
    games = ["ALE/Breakout-v5", "ALE/SpaceInvaders-v5", "ALE/MsPacman-v5", "ALE/Qbert-v5", "SeaquestNoFrameskip-v4"]
    return sorted(ids) + games


def test_the_zoo_is_as_large_as_it_should_be() -> None:
    assert len(zoo()) >= 30
    assert {"CarRacing-v3", "Blackjack-v1", "Taxi-v4", "Humanoid-v5", "BipedalWalker-v3", "Acrobot-v1"} <= set(zoo())


@pytest.mark.parametrize("environment", zoo())
def test_every_environment_builds_and_trains_two_updates(
    config: Config, train: Train, tmp_path: Path, environment: str
) -> None:
    settings = ("algo.n_envs=2", "algo.n_steps=3", "total_steps=12", "arch.cnn.features=32", "engine.threads=1")
    (outcome,) = train(config("env=gym", f"env.id={environment}", *settings))
    assert outcome.status is Status.DONE, outcome.error
    assert all(math.isfinite(value) for line in metrics(outcome.directory) for value in line.values())
