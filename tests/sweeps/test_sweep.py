"""Sweeps that train as populations, in real processes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from acexp.commands.sweep_view import label
from acexp.config import RunConfig
from acexp.config.schema import structure
from acexp.runs.outcome import Outcome
from acexp.sweeps.fleet import divide
from tests.helpers import Process, metrics, parameters, start, wait_until

Acexp = Callable[..., subprocess.CompletedProcess[str]]
Config = Callable[..., RunConfig]
Train = Callable[..., list[Outcome]]

SMALL = ("env=cliffwalking", "algo.n_envs=4", "algo.n_steps=8", "total_steps=960", "log.every=320")


def statuses(folder: Path) -> dict[str, str]:
    """Each run's status, by the name of its directory."""
    return {path.parent.name: json.loads(path.read_text())["status"] for path in folder.glob("*/status.json")}


def test_12_runs_train_as_populations_and_equal_12_single_runs(acexp: Acexp, tmp_path: Path) -> None:
    """Metrics and parameters to tolerance, files and configs exactly."""
    result = acexp("-m", *SMALL, "arch=separate,shared", "clip.max_norm=0.1,5", "seed=range(3)", "name=together")
    assert result.returncode == 0, result.stdout + result.stderr
    together = tmp_path / "outputs" / "sweeps" / "together"
    assert len(statuses(together)) == 12
    assert re.search(r"\d done: arch=separate", result.stdout)

    alone_sweep = acexp(
        "-m", *SMALL, "arch=separate,shared", "clip.max_norm=0.1,5", "seed=range(3)", "name=alone",
        "hydra/launcher=basic",
    )  # fmt: skip
    assert alone_sweep.returncode == 0, alone_sweep.stdout + alone_sweep.stderr
    alone = tmp_path / "outputs" / "sweeps" / "alone"
    assert sorted(statuses(alone)) == sorted(statuses(together))
    for directory in alone.iterdir():
        if not directory.is_dir():
            continue
        twin = together / directory.name
        assert files(twin) == files(directory)
        lines, expected = metrics(twin), metrics(directory)
        assert len(lines) == len(expected) == 3
        for line, wanted in zip(lines, expected, strict=True):
            assert line == pytest.approx(wanted, rel=1e-3, abs=1e-4)
        for name, tensor in parameters(directory).items():
            torch.testing.assert_close(parameters(twin)[name], tensor, rtol=1e-4, atol=1e-5, msg=name)
        ours, theirs = (yaml.safe_load((run / "config.yaml").read_text()) for run in (twin, directory))
        assert {**ours, "name": None, "engine": None} == {**theirs, "name": None, "engine": None}
        for file in ("config", "overrides"):
            assert read(twin, file) == read(directory, file)
        hydra, wanted_hydra = read(twin, "hydra")["hydra"], read(directory, "hydra")["hydra"]
        assert hydra["job"]["num"] == wanted_hydra["job"]["num"]
        assert hydra["job"]["override_dirname"] == wanted_hydra["job"]["override_dirname"]
        assert hydra["overrides"]["task"] == read(directory, "overrides")
        assert hydra["runtime"]["choices"]["arch"] == wanted_hydra["runtime"]["choices"]["arch"]
        assert hydra["runtime"]["output_dir"] == str(twin).replace("together", "x")


def files(directory: Path) -> set[str]:
    """The names of a run's files, event files counted as one."""
    return {re.sub(r"^events.*", "events", str(path.relative_to(directory))) for path in directory.rglob("*")}


def read(directory: Path, name: str) -> Any:
    """One of the files that Hydra leaves in a run, but for the name of the sweep."""
    text = (directory / ".hydra" / f"{name}.yaml").read_text()
    return yaml.safe_load(text.replace("together", "x").replace("alone", "x"))


def test_populations_are_what_can_be_stacked(config: Config) -> None:
    """Seeds, rates, coefficients and clip norms (or none) stack; structures do not."""
    base = config()
    same = ("seed=3", "optim.learning_rate=1", "clip=none", "clip.max_norm=9", "algo.gamma=0.5", "algo.gae_lambda=0.1",
            "algo.entropy_coef=1", "algo.value_coef=3")  # fmt: skip
    for override in same:
        assert structure(config(override)) == structure(base), override
    other = ("arch=shared", "optim=dual", "optim.algorithm=sgd", "normalizer=none", "reward_normalizer=none", "seed=1",
             "algo.n_envs=2", "algo.n_steps=3", "total_steps=5", "clip=value", "clip.scope=module", "engine=gymnasium",
             "env.max_episode_steps=7")  # fmt: skip
    assert [o for o in other if structure(config(o)) == structure(base)] == ["seed=1"]


def test_a_fleet_gives_every_process_work_and_no_population_too_many_members(config: Config) -> None:
    ten = [config(f"seed={seed}") for seed in range(10)]
    assert divide(ten, dict.fromkeys(range(len(ten))), max_members=16, places=2) == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    assert divide(ten, dict.fromkeys(range(len(ten))), max_members=16, places=1) == [list(range(10))]
    assert [len(p) for p in divide(ten, dict.fromkeys(range(len(ten))), max_members=4, places=1)] == [4, 3, 3]
    mixed = [config(f"seed={seed}", f"arch={arch}") for seed in range(3) for arch in ("separate", "shared")]
    assert sorted(divide(mixed, dict.fromkeys(range(len(mixed))), max_members=16, places=2)) == [[0, 2, 4], [1, 3, 5]]
    longer = [*ten[:2], config("total_steps=900000")]
    assert divide(longer, dict.fromkeys(range(len(longer))), max_members=2, places=1) == [[2], [0, 1]]


def test_a_population_is_named_by_what_sets_it_apart() -> None:
    runs = [["arch=shared", "seed=0", "total_steps=5"], ["arch=shared", "seed=1", "total_steps=5"]]
    assert label(runs, ["arch", "seed"]) == "arch=shared, 2 x seed"
    assert label(runs[:1], []) == "the only run"


def test_a_sweep_ends_with_its_cells_and_the_next_commands(acexp: Acexp) -> None:
    result = acexp("-m", *SMALL, "arch=separate,shared", "seed=range(3)", "total_steps=4000", "name=end")
    assert result.returncode == 0, result.stdout + result.stderr
    lines = result.stdout.splitlines()
    (first,) = [i for i, line in enumerate(lines) if line.startswith("experiment")]
    assert lines[first - 1].startswith("On CliffWalking-v1, highest mean: arch=")
    assert lines[first].split() == ["experiment", "mean", "n", "difference", "certain"]
    rows = [
        re.match(r"(arch=\w+) +(-[\d,.]+) \[(-[\d,.]+), (-[\d,.]+)\] +n = 3 ", line)
        for line in lines[first + 1 : first + 3]
    ]
    cells = {row[1]: [float(x.replace(",", "")) for x in row.groups()[1:]] for row in rows if row}
    assert set(cells) == {"arch=separate", "arch=shared"}
    means = [mean for mean, _, _ in cells.values()]
    assert means == sorted(means, reverse=True)
    assert all(low <= mean <= high for mean, low, high in cells.values())
    assert lines[first + 3].startswith("Scores: mean return of the last 100 training episodes.")
    folder = "outputs/sweeps/end"
    assert lines[first + 4 :] == ["next:", *(f"  acexp {name} {folder}" for name in ("eval", "report", "dashboard"))]


def test_a_sweep_is_looked_at_before_it_trains(acexp: Acexp, tmp_path: Path) -> None:
    sweep = ("-m", *SMALL, "arch=separate,shared", "seed=range(3)", "hydra.launcher.processes=2")
    first = acexp(*sweep, "hydra.launcher.dry_run=true")
    assert first.returncode == 0, first.stdout + first.stderr
    assert list(tmp_path.iterdir()) == []
    assert "6 runs: 6 to train, 0 left as they are" in first.stdout
    assert "in 2 populations, 2 at a time, in processes of this machine:" in first.stdout
    assert "  3 x 960 steps: arch=shared, 3 x seed" in first.stdout
    assert "duration: unknown, as no run of CliffWalking-v1 below outputs/ has been measured" in first.stdout
    (directory,) = re.findall(r"directory: (.*)", first.stdout)
    assert re.fullmatch(r"outputs/sweeps/cliffwalking,arch,seed-\w{6}", directory)
    assert acexp(*sweep).returncode == 0
    assert len(statuses(tmp_path / directory)) == 6
    before = sorted(tmp_path.rglob("*"))
    again = acexp(*sweep, "total_steps=96000", "hydra.launcher.dry_run=true")
    assert re.search(
        r"duration: about \d+ (?:s|min), by 6 earlier runs of CliffWalking-v1 \([\d,]+ steps/s\)", again.stdout
    )
    done = acexp(*sweep, "hydra.launcher.dry_run=true")
    assert "6 runs: 0 to train, 6 left as they are" in done.stdout
    assert "nothing is left to train" in done.stdout
    assert sorted(tmp_path.rglob("*")) == before


def test_a_diverging_and_a_failing_run_are_isolated(acexp: Acexp, tmp_path: Path) -> None:
    result = acexp(
        "-m", "env=halfcheetah", "algo.n_envs=2", "algo.n_steps=4", "total_steps=800", "clip=none",
        "optim.algorithm=sgd", "arch.hidden_sizes=[]", "normalizer=none,bounds", "optim.learning_rate=1e-5,1e30",
        "name=mixed",
    )  # fmt: skip
    assert result.returncode == 1, result.stdout + result.stderr
    found = statuses(tmp_path / "outputs" / "sweeps" / "mixed")
    assert sorted(found.values()) == ["diverged", "done", "failed", "failed"]
    assert all(("bounds" in name) == (status == "failed") for name, status in found.items())
    assert "3 of 4 runs did not finish" in result.stdout
    assert "is not finite at env step" in result.stdout
    assert "finite bounds" in result.stdout
    assert "Traceback" not in result.stdout + result.stderr


def test_a_directory_that_cannot_be_made_fails_its_run_alone(acexp: Acexp, tmp_path: Path) -> None:
    sweep = tmp_path / "outputs" / "sweeps" / "blocked"
    settings = ("-m", *SMALL, "arch=separate,shared", "seed=0,1")
    assert acexp(*settings, "name=free").returncode == 0
    names = sorted(path.parent.name for path in (sweep.parent / "free").glob("*/status.json"))
    sweep.mkdir()
    (sweep / names[0]).write_text("a file stands where this run's directory belongs")
    result = acexp(*settings, "name=blocked")
    assert result.returncode == 1, result.stdout + result.stderr
    assert statuses(sweep) == dict.fromkeys(names[1:], "done")
    assert "1 of 4 runs did not finish" in result.stdout
    assert "cannot be made" in result.stdout
    assert "Traceback" not in result.stdout + result.stderr


def start_long(folder: Path, *arguments: str) -> Process:
    """A long sweep, once every one of its populations writes metrics."""
    process = start(folder, "-m", *arguments, "total_steps=100000000", "log.every=400")

    def all_write() -> bool:
        found = list(folder.glob("outputs/**/metrics.jsonl"))
        return bool(found) and all(path.stat().st_size for path in found)

    wait_until(all_write, process)
    return process


def trainers(process: Process) -> list[int]:
    """The processes below a sweep's that train, in the order in which they began."""
    children = Path("/proc/{0}/task/{0}/children")
    found, pending = [], [process.pid]
    while pending:
        below = [int(pid) for pid in Path(str(children).format(pending.pop())).read_text().split()]
        pending += below
        found += below
    return [pid for pid in found if not Path(f"/proc/{pid}/task/{pid}/children").read_text()][-2:]


def test_a_killed_process_takes_its_own_population_along_and_no_other(tmp_path: Path) -> None:
    process = start_long(tmp_path, "arch=separate,shared", "name=killed", "hydra.launcher.processes=2")
    os.kill(trainers(process)[0], signal.SIGKILL)
    folder = tmp_path / "outputs" / "sweeps" / "killed"
    wait_until(lambda: sorted(statuses(folder).values()) == ["failed", "running"], process)
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert sorted(statuses(folder).values()) == ["failed", "interrupted"]
    assert "SIGKILL" in printed


def test_a_sweep_whose_parent_is_killed_ends_by_itself(tmp_path: Path) -> None:
    process = start_long(tmp_path, "seed=0,1", "name=orphans", "hydra.launcher.processes=1")
    process.kill()
    process.communicate(timeout=60)
    deadline = time.monotonic() + 60
    while set(statuses(tmp_path / "outputs" / "sweeps" / "orphans").values()) != {"interrupted"}:
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR2"])
def test_a_sweep_that_is_told_to_stop_saves_its_runs(tmp_path: Path, name: str) -> None:
    number = getattr(signal, name)
    process = start_long(
        tmp_path, "seed=range(4)", "name=told", "hydra.launcher.processes=1", "hydra.launcher.max_members=2"
    )
    process.send_signal(number)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number, printed
    folder = tmp_path / "outputs" / "sweeps" / "told"
    assert list(statuses(folder).values()) == ["interrupted"] * 2
    assert len(list(folder.glob("*/checkpoint.pt"))) == 2
    assert "2 runs were not started" in printed
    assert "acexp resume outputs/sweeps/told" in printed
    assert len(json.loads((folder / "sweep.json").read_text())["runs"]) == 4
    assert "Traceback" not in printed


FATAL = """
import os, sys
import gymnasium as gym
import numpy as np


class Fatal(gym.Env):
    observation_space = gym.spaces.Box(-1.0, 1.0, (3,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, how):
        self.how, self.t = how, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(3, np.float32), {}

    def step(self, action):
        self.t += 1
        if self.t == 50:
            if self.how == "exit":
                sys.exit(3)
            if self.how == "raise":
                raise ValueError("I cannot go on")
            if self.how == "killed":
                os.kill(os.getpid(), 9)
            if self.how == "memory":
                np.ones(2**62, np.uint8)
        return np.zeros(3, np.float32), 1.0, False, self.t % 20 == 0, {}


gym.register("Fatal-v0", Fatal)
"""


def test_whatever_ends_one_run_leaves_the_others(acexp: Acexp, tmp_path: Path) -> None:
    """An exception, sys.exit, SIGKILL and memory that is not there; what can have a traceback has it in its log."""
    (tmp_path / "fatal.py").write_text(FATAL)
    ways = {"exit": True, "raise": True, "killed": False, "memory": True}
    result = acexp(
        "-m", "plugins=[fatal]", "env=gym", "env.id=Fatal-v0", f"+env.kwargs.how={','.join(ways)},fine", "name=fatal",
        "total_steps=2000", "algo.n_envs=2", "hydra.launcher.max_members=1",
    )  # fmt: skip
    assert result.returncode == 1, result.stdout + result.stderr
    folder = tmp_path / "outputs" / "sweeps" / "fatal"
    found = {name.rpartition("how=")[2].split(",")[0]: (name, status) for name, status in statuses(folder).items()}
    assert {how: status for how, (_, status) in found.items()} == {**dict.fromkeys(ways, "failed"), "fine": "done"}
    assert "4 of 5 runs did not finish" in result.stdout
    for how, has_traceback in ways.items():
        log = folder / found[how][0] / "error.log"
        assert log.exists() == has_traceback, how
        if has_traceback:
            assert "Traceback" in log.read_text()
            assert f"traceback: {log.relative_to(tmp_path)}" in result.stdout
    assert "SIGKILL" in result.stdout
    assert "Traceback" not in result.stderr


def test_a_users_own_component_reaches_the_processes(acexp: Acexp, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from acexp.optimizers.clipping import CLIPS, ClipNorm\n\n"
        "@CLIPS.register('mine')\nclass Mine(ClipNorm):\n    'My own.'\n"
    )
    result = acexp("-m", "plugins=[mine]", "clip.name=mine", "seed=0,1", "total_steps=128", "name=own")
    assert result.returncode == 0, result.stdout + result.stderr
    assert set(statuses(tmp_path / "outputs" / "sweeps" / "own").values()) == {"done"}


@pytest.mark.long
def test_a_sweep_that_was_killed_goes_on_where_it_was(acexp: Acexp, tmp_path: Path) -> None:
    """By the same command and by `acexp resume`: what is done stays untouched, and all end as they would have."""
    settings = (
        "-m", "env=cliffwalking", "algo.n_envs=4", "algo.n_steps=8", "arch=separate,shared", "seed=range(4)",
        "total_steps=16000", "log.every=800", "checkpoint.every=1600", "hydra.launcher.max_members=2",
    )  # fmt: skip
    assert acexp(*settings, "name=whole").returncode == 0
    sweep = tmp_path / "outputs" / "sweeps" / "broken"
    process = start(tmp_path, *settings, "name=broken")
    deadline = time.monotonic() + 120
    while True:
        found = statuses(sweep)
        lines = [path.read_bytes().count(b"\n") for path in sweep.glob("*/metrics.jsonl")]
        if "done" in found.values() and "running" in found.values() and max(lines) > 3:
            break
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.communicate(timeout=120)
    while "running" in statuses(sweep).values() and time.monotonic() < deadline - 60:
        time.sleep(0.05)  # The children notice that their parent is gone, and stop.
    done = [name for name, status in statuses(sweep).items() if status == "done"]

    status = acexp("status", str(sweep))
    assert status.returncode == 0, status.stderr
    assert f"{len(done)} done" in status.stdout
    assert "acexp resume outputs/sweeps/broken" in status.stdout

    copy = shutil.copytree(sweep, sweep.with_name("copy"))
    for directory, command in ((sweep, (*settings, "name=broken")), (copy, ("resume", str(copy)))):
        before = {path: path.read_bytes() for name in done for path in (directory / name).iterdir() if path.is_file()}
        again = acexp(*command)
        assert again.returncode == 0, again.stdout + again.stderr
        assert command[0] == "resume" or f"left as they are: {len(done)} done" in again.stdout
        assert {path: path.read_bytes() for path in before} == before
        assert list(statuses(directory).values()) == ["done"] * 8
        for run in directory.glob("*/"):
            twin = tmp_path / "outputs" / "sweeps" / "whole" / run.name
            assert (run / "metrics.jsonl").read_bytes() == (twin / "metrics.jsonl").read_bytes(), run.name
            for name, tensor in parameters(twin).items():
                assert torch.equal(parameters(run)[name], tensor), name


def test_the_command_of_somebody_elses_sweep_imports_nothing_unasked(acexp: Acexp, tmp_path: Path) -> None:
    """However the module is written: by the key of a setting, or within the group that contains it."""
    small = ("env=gym", "env.id=CartPole-v1", "engine=gymnasium", "total_steps=64")
    assert acexp("-m", "seed=0,1", *small, "name=s").returncode == 0
    sweep = tmp_path / "outputs" / "sweeps" / "s"
    shutil.rmtree(sweep / "seed=1")
    (tmp_path / "theirs.py").write_text("open('ran', 'w').close()")
    told = json.loads((sweep / "sweep.json").read_text())
    for argument in (
        "plugins=[theirs]",
        "env.id=theirs:CartPole-v1",
        "env={id: theirs:CartPole-v1}",
        "++env={id: 'theirs:CartPole-v1'}",
        "env.wrappers=[{name: theirs:Wrapper}]",
        "env.wrappers=[{name:theirs:Wrapper}]",
        "env={wrappers: [{name: 'theirs:Wrapper'}]}",
    ):
        command = {**told["commands"][0], "arguments": [*told["commands"][0]["arguments"], argument]}
        (sweep / "sweep.json").write_text(json.dumps(told | {"commands": [command]}))
        refused = acexp("resume", "outputs/sweeps/s")
        assert refused.returncode == 2, argument
        assert "--allow-plugins" in refused.stderr, argument
        assert not (tmp_path / "ran").exists(), argument
    (sweep / "sweep.json").write_text(json.dumps(told))
    assert acexp("resume", "outputs/sweeps/s").returncode == 0
    assert json.loads((sweep / "seed=1" / "status.json").read_text())["status"] == "done"
