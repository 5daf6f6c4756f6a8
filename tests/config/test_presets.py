"""The presets: they compose, they train, and, in `make learn`, they reach the returns in docs/results.md."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from acexp.config import RunConfig
from acexp.objectives import PPOConfig
from acexp.runs.outcome import Outcome
from tests.helpers import REPOSITORY

Config = Callable[..., RunConfig]

PRESETS = {
    "ant": "Ant-v5",
    "cliffwalking": "CliffWalking-v1",
    "halfcheetah": "HalfCheetah-v5",
    "hopper": "Hopper-v5",
    "lunarlander": "LunarLander-v3",
    "pong": "PongNoFrameskip-v4",
    "walker2d": "Walker2d-v5",
}
FLOORS = {
    "cliffwalking": -13.0,
    "halfcheetah": 4000.0,
    "halfcheetah_ppo": 4000.0,
    "lunarlander": 200.0,
    "lunarlander_ppo": 242.0,
}
"""Mean returns of 100 greedy episodes, over seeds. Pong's takes hours."""

PPO_PRESETS = {f"{name}_ppo": name for name in ("ant", "halfcheetah", "hopper", "lunarlander", "walker2d")}
"""The presets of PPO, which set what suits it, and their environments."""


def test_every_preset_is_tested() -> None:
    found = sorted(path.stem for path in (REPOSITORY / "conf/experiment").glob("*.yaml"))
    assert found == sorted([*PRESETS, *PPO_PRESETS])


@pytest.mark.parametrize(("name", "environment"), PPO_PRESETS.items())
def test_a_preset_of_ppo_chooses_it_trains_and_gives_way_to_the_command_line(
    config: Config, train: Callable[..., list[Outcome]], name: str, environment: str
) -> None:
    preset = config(f"experiment={name}")
    assert isinstance(preset.algo, PPOConfig)
    assert preset.env == config(f"env={environment}").env
    assert preset.total_steps == 1_000_000
    small = ("algo.n_envs=2", "algo.n_steps=8", "algo.minibatches=2", "total_steps=32", "log.every=16")
    (outcome,) = train(config(f"experiment={name}", *small))
    assert outcome.status == "done"


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_chooses_its_environment_and_gives_way_to_the_command_line(config: Config, name: str) -> None:
    preset = config(f"experiment={name}")
    assert preset.env.id == PRESETS[name]
    assert preset.total_steps == config(f"env={name}").total_steps
    overridden = config("arch.hidden_sizes=[8]", "clip=norm", "clip.max_norm=0.125", f"experiment={name}", "seed=3")
    assert overridden.clip.max_norm == 0.125
    assert list(overridden.arch.hidden_sizes) == [8]
    assert overridden.seed == 3


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_adds_no_more_than_a_layout_to_its_environment(config: Config, name: str) -> None:
    """All other settings, the bound of gradients included, are in conf/env and hold without the preset."""
    preset = config(f"experiment={name}")
    assert preset == config(f"env={name}", f"arch={preset.arch.name}", f"optim={preset.optim.name}")


@pytest.mark.parametrize("arch", ["separate", "shared"])
@pytest.mark.parametrize("optim", ["single", "dual"])
@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_trains_with_every_layout(
    config: Config, train: Callable[..., list[Outcome]], tmp_path: Path, name: str, arch: str, optim: str
) -> None:
    """Two updates, with every loss and norm finite: a value that is not ends a run as diverged."""
    preset = config(f"experiment={name}")
    steps = 2 * preset.algo.n_envs * preset.algo.n_steps
    settings = (f"experiment={name}", f"arch={arch}", f"optim={optim}", f"total_steps={steps}", "log.every=1")
    (outcome,) = train(config(*settings))
    assert outcome.status == "done"
    lines = (tmp_path / "run0/metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [steps // 2, steps]


@pytest.mark.floor
@pytest.mark.parametrize("name", FLOORS)
def test_a_preset_reaches_its_floor(
    acexp: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, name: str
) -> None:
    """The whole budget, three seeds, 100 greedy episodes of the final policies."""
    for command in (["-m", f"experiment={name}", "seed=0,1,2", "name=floor"], ["eval", "outputs/sweeps/floor"]):
        ended = acexp(*command, timeout=3600)
        assert ended.returncode == 0, ended.stdout + ended.stderr
    found = [json.loads(path.read_text())["return"] for path in tmp_path.glob("outputs/sweeps/floor/*/eval.json")]
    assert [each["n"] for each in found] == [100] * 3
    assert sum(each["mean"] for each in found) / 3 >= FLOORS[name]
