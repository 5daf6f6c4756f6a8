"""Mistakes that a short message answers: in one's own code, in settings, and in what is done to runs."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers import start, wait_until

Acexp = Callable[..., subprocess.CompletedProcess[str]]

SMALL = ("env=cliffwalking", "algo.n_envs=2", "algo.n_steps=4", "arch.hidden_sizes=[8]")

BROKEN = {
    "exits": ("import sys\n\nsys.exit(0)\n", ["it calls sys.exit(0)", "broken.py, line 3"]),
    "exits silently": ("raise SystemExit\n", ["it calls sys.exit()", "broken.py, line 1"]),
    "raises": ("x = {}\nx['there is no such key']\n", ["KeyError: 'there is no such key'", "broken.py, line 2"]),
    "raises in a library": ("import json\n\njson.loads('{')\n", ["JSONDecodeError", "broken.py, line 3"]),
    "raises in a module of its own": ("import helping\n\nhelping.fail()\n", ["ValueError: no", "helping.py, line 2"]),
    "syntax": ("def f(:\n    pass\n", ["SyntaxError", "broken.py, line 1"]),
    "imports what is missing": ("import nowhere_at_all\n", ["No module named 'nowhere_at_all'", "broken.py, line 1"]),
}


@pytest.mark.parametrize("named", [("plugins=[broken]",), ("env=gym", "env.id=broken:Env-v0")], ids=["plugin", "id"])
@pytest.mark.parametrize(("code", "said"), BROKEN.values(), ids=BROKEN)
def test_a_module_of_ones_own_that_fails_is_named_with_its_line(
    acexp: Acexp, tmp_path: Path, code: str, said: list[str], named: tuple[str, ...]
) -> None:
    (tmp_path / "broken.py").write_text(code)
    (tmp_path / "helping.py").write_text("def fail():\n    raise ValueError('no')\n")
    result = acexp("total_steps=64", *named)
    assert result.returncode == 2, result.stdout + result.stderr
    for text in ("'broken'", "cannot be imported", *said):
        assert text in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "outputs").exists()


def test_a_component_that_cannot_be_built_is_named_with_its_line(acexp: Acexp, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import sys\n"
        "from acexp.normalizers import NORMALIZERS\n\n\n"
        "@NORMALIZERS.register('leaving')\n"
        "def leaving(*arguments):\n"
        "    sys.exit(0)\n\n\n"
        "@NORMALIZERS.register('failing')\n"
        "def failing(*arguments):\n"
        "    raise LookupError('nothing there')\n"
    )
    for name, said in (("leaving", "it calls sys.exit(0)"), ("failing", "LookupError: nothing there")):
        result = acexp("env=halfcheetah", "plugins=[mine]", f"normalizer.name={name}", "total_steps=64")
        assert result.returncode == 2, result.stdout + result.stderr
        assert said in result.stderr
        assert re.search(r"place: +mine\.py, line (7|12)", result.stderr)
        assert "Traceback" not in result.stderr
        assert not (tmp_path / "outputs").exists()


FORMERLY = "a2c"
"""The name of the group `algo` in version 0.1."""

MISTAKES = {
    "new parameter": (["-m", "hydra.sweeper.params.seed=0"], ["write +hydra.sweeper.params.seed=0"]),
    "nested parameter": (
        ["-m", "+hydra.sweeper.params.algo.gamma=0"],
        ["command line: +hydra.sweeper.params.algo.gamma=0", "as overrides: acexp -m KEY=VALUE,VALUE"],
    ),
    "new keyword": (["env.kwargs.is_slippery=false"], ["write +env.kwargs.is_slippery=false"]),
    "no id like it": (["env=gym", "env.id=Xyzzy-v0"], ["no environment 'Xyzzy-v0'"]),
    "another version": (["env=gym", "env.id=CartPole-v7"], ["CartPole-v0, CartPole-v1"]),
    "unknown interpolation": (["seed=${nope}"], ["Interpolation key 'nope' not found", "command line: seed=${nope}"]),
    "unknown folder": (["hydra.run.dir=${nope}"], ["Interpolation key 'nope' not found", "hydra.run.dir"]),
    "endless": (["total_steps=1e30"], ["at most 1e+15 env steps", "30 years"]),
    "threads": (["torch_threads=9999"], ["1 to 1,024 threads"]),
    "advantage of one slot": (
        ["algo.n_envs=1", "algo.n_steps=1", "algo.normalize_advantage=true"],
        ["the actor would learn nothing", "algo.normalize_advantage=false, or algo.n_envs or algo.n_steps to 2"],
    ),
    "minibatches of different sizes": (
        [*SMALL, "algo=ppo", "algo.minibatches=3"],
        ["4 steps x 2 environments cannot be split into 3 equal minibatches", "a number that divides 8"],
    ),
    "setting by its earlier name": (
        [*SMALL, f"{FORMERLY}.gamma=0.9"],
        [f"'{FORMERLY}.gamma' is called 'algo.gamma' now", "write algo.gamma=..."],
    ),
    "sweep by an earlier name": (
        ["-m", *SMALL, f"{FORMERLY}.gamma=0.9,1", "seed=0,1"],
        [f"'{FORMERLY}.gamma' is called 'algo.gamma' now"],
    ),
    "added by its earlier name": ([*SMALL, f"+{FORMERLY}.gamma=0.9"], [f"'{FORMERLY}' is called 'algo' now"]),
    "setting of another algorithm": (
        [*SMALL, "algo.clip_range=0.1"],
        ["no setting 'algo.clip_range'", "belongs to algo=ppo"],
    ),
    "setting of another layout": ([*SMALL, "optim.trunk=actor"], ["no setting 'optim.trunk'", "belongs to optim=dual"]),
    "algorithm of optimization": ([*SMALL, "optim.algorithm=adm"], ["`acexp list optim.algorithm`"]),
    "writer": ([*SMALL, "log.writers=[tensorbord]"], ["`acexp list log.writers`"]),
    "sweep over what another setting replaces": (
        ["-m", *SMALL, "optim=dual", "algo.value_coef=0.1,1"],
        ["differ in algo.value_coef alone would be equal", "with optim.name=dual", "leave out algo.value_coef"],
    ),
    "sweep over what the spaces do not need": (
        ["-m", *SMALL, "arch.log_std_init=-1,0", "seed=0,1"],
        ["nothing reads it with discrete actions", "command line: arch.log_std_init=-1,0"],
    ),
    "sweep over a choice that the spaces do not need": (
        ["-m", *SMALL, "normalizer=running,none"],
        ["nothing reads it with observations without numbers"],
    ),
    "sweep, one run after the other": (
        ["-m", *SMALL, "clip=none", "clip.max_norm=1,2", "hydra/launcher=basic"],
        ["nothing reads it with clip.name=none"],
    ),
    "sweep of Hydra's own sweeper": (
        ["-m", *SMALL, "clip=none", "clip.max_norm=1,2", "hydra/sweeper=basic"],
        ["nothing reads it with clip.name=none"],
    ),
    "networks beyond all memory": (
        [*SMALL, "arch.hidden_sizes=[1000000000000]"],
        ["needs more memory than there is: ", "GB for one array", "arch.hidden_sizes"],
    ),
    "rollouts beyond the memory": ([*SMALL, "algo.n_steps=100000000000"], ["needs more memory", "algo.n_steps"]),
    "networks beyond all numbers": ([*SMALL, "arch.hidden_sizes=[1000000000000,1000000000000]"], ["needs more memory"]),
    "no choice": (
        ["env.id=CliffWalking-v1", "arch=null"],
        ["takes one of its choices", "command line: arch=null", "acexp list"],
    ),
    "no choice in a sweep": (["-m", "seed=0,1", "optim=null"], ["takes one of its choices", "optim=null"]),
    "frames of a step": (["env=pong", "+env.kwargs.frameskip=often"], ["takes a fixed number of frames"]),
}


@pytest.mark.parametrize(("arguments", "said"), MISTAKES.values(), ids=MISTAKES)
def test_a_setting_is_refused_with_the_reason(
    acexp: Acexp, tmp_path: Path, arguments: list[str], said: list[str]
) -> None:
    result = acexp(*arguments)
    assert result.returncode == 2, result.stdout + result.stderr
    for text in said:
        assert text in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_parameters_of_the_sweeper_make_a_sweep(acexp: Acexp, tmp_path: Path) -> None:
    parameters = ('+hydra.sweeper.params.seed="0,1"', "+hydra.sweeper.params={algo.gamma: '0.5,0.9'}")
    result = acexp("-m", *parameters, *SMALL, "total_steps=80", "name=grid")
    assert result.returncode == 0, result.stderr
    assert len(statuses(tmp_path / "outputs" / "sweeps" / "grid")) == 4


def test_only_what_is_near_is_suggested(acexp: Acexp) -> None:
    assert "choices" not in acexp("env=gym", "env.id=Xyzzy-v0").stderr
    assert "did you mean" not in acexp("env=something").stderr


def test_settings_that_nothing_reads_are_named_before_training(acexp: Acexp) -> None:
    result = acexp(*SMALL, "total_steps=80", "arch=separate", "optim=dual", "optim.trunk=actor", "clip=none",
                   "clip.max_norm=1", "optim.alpha=0.9", "algo.gamma=0.9")  # fmt: skip
    assert result.returncode == 0, result.stderr
    lines = [line for line in result.stdout.splitlines() if "has no effect" in line]
    assert lines == [
        "optim.trunk=actor has no effect with arch.name=separate.",
        "clip.max_norm=1 has no effect with clip.name=none.",
    ]
    assert result.stdout.index("has no effect") < result.stdout.index("training for")


def test_in_a_sweep_a_setting_is_read_if_one_run_reads_it(acexp: Acexp) -> None:
    sweep = ("-m", *SMALL, "total_steps=80", "optim=dual", "optim.trunk=actor", "clip=none,norm", "clip.max_norm=1")
    both = acexp(*sweep, "arch=separate,shared").stdout
    assert "has no effect" not in both
    one = acexp(*sweep, "arch=separate").stdout
    assert one.count("has no effect") == 1
    assert "optim.trunk=actor has no effect with arch.name=separate." in one


def test_a_budget_that_is_rounded_up_by_much_is_named(acexp: Acexp) -> None:
    assert "total_steps=65 is rounded up to 72: an update takes 8 env steps" in acexp(*SMALL, "total_steps=65").stdout
    assert "rounded up" not in acexp(*SMALL, "total_steps=79").stdout, "80 is less than a tenth more"


def test_episodes_that_never_end_are_named(acexp: Acexp, tmp_path: Path) -> None:
    endless = (*SMALL, "env.max_episode_steps=100000", "total_steps=160")
    single = acexp(*endless).stdout
    assert "No episode has ended: each of the 2 environments took 80 steps." in single
    assert "env.max_episode_steps=..." in single
    assert "note, for 2 of 2 runs: No episode has ended" in acexp("-m", *endless, "seed=0,1").stdout
    assert "No episode" not in acexp(*endless, "env.max_episode_steps=50").stdout


def test_a_run_in_its_own_folder_is_named_from_where_it_was_started(acexp: Acexp, tmp_path: Path) -> None:
    result = acexp(*SMALL, "total_steps=80", "hydra.job.chdir=true", "hydra.run.dir=mine/run")
    assert result.returncode == 0, result.stderr
    assert "run directory: mine/run\n" in result.stdout


def test_warnings_as_errors_break_no_command(acexp: Acexp, tmp_path: Path) -> None:
    """Box2D, which LunarLander needs, crashes if a warning of its import is raised."""
    lander = ("env=lunarlander", "engine=gymnasium", *SMALL[1:], "total_steps=80")
    for arguments in ((*lander, "hydra.run.dir=run"), ("-m", *lander, "seed=0,1"), ("eval", "run", "--episodes", "2")):
        result = acexp(*arguments, PYTHONWARNINGS="error")
        assert result.returncode == 0, result.stdout + result.stderr


def fail(directory: Path, status: str = "failed") -> None:
    """Let a run of 80 env steps have ended after its first checkpoint, with this status."""
    path = directory / "status.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "status": status, "error": "a cause"}))


def statuses(sweep: Path) -> dict[str, str]:
    found = sorted(sweep.glob("*/status.json"))
    return {path.parent.name: json.loads(path.read_text())["status"] for path in found}


def test_only_the_runs_with_a_status_are_resumed(acexp: Acexp, tmp_path: Path) -> None:
    command = ("-m", *SMALL, "total_steps=80", "seed=range(4)", "name=four")
    assert acexp(*command).returncode == 0
    sweep = tmp_path / "outputs" / "sweeps" / "four"
    for seed, status in ((0, "failed"), (1, "interrupted"), (2, "diverged")):
        fail(next(sweep.glob(f"*seed={seed}*")), status)
    assert "no run is killed" in acexp("resume", str(sweep), "--only", "killed").stdout
    assert acexp("resume", str(sweep), "--only", "failed").returncode == 0
    assert sorted(statuses(sweep).values()) == ["diverged", "done", "done", "interrupted"]
    assert "would again" in acexp("resume", str(sweep), "--only", "diverged").stdout
    assert acexp("resume", str(sweep), "--only", "failed", "--only", "interrupted").returncode == 0
    assert sorted(statuses(sweep).values()) == ["diverged", "done", "done", "done"]
    assert "choose from failed, interrupted, killed, diverged" in re.sub(
        "'", "", acexp("resume", "x", "--only", "y").stderr
    )


def test_only_some_runs_of_a_sweep_do_not_begin_the_others(acexp: Acexp, tmp_path: Path) -> None:
    assert acexp("-m", *SMALL, "total_steps=80", "seed=0,1", "name=two").returncode == 0
    sweep = tmp_path / "outputs" / "sweeps" / "two"
    path = sweep / "sweep.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "runs": [*content["runs"], "one that has not begun"]}))
    assert "no run is failed" in acexp("resume", str(sweep), "--only", "failed").stdout


def test_failed_runs_come_with_the_command_that_trains_them_again(acexp: Acexp, tmp_path: Path) -> None:
    (tmp_path / "unlucky.py").write_text(UNLUCKY)
    settings = ("plugins=[unlucky]", "env=gym", "env.id=Unlucky-v0", *SMALL[1:], "total_steps=160")
    sweep = acexp("-m", *settings, "+env.kwargs.fails=true,false", "name=luck")
    assert sweep.returncode == 1, sweep.stdout + sweep.stderr
    assert "acexp resume outputs/sweeps/luck --only failed" in sweep.stdout.replace("\n", " ")
    single = acexp(*settings, "+env.kwargs.fails=true", "hydra.run.dir=mine")
    assert single.returncode == 1
    assert "try again:     acexp resume mine" in single.stdout


UNLUCKY = """
import gymnasium as gym
import numpy as np


class Unlucky(gym.Env):
    observation_space = gym.spaces.Box(-1.0, 1.0, (3,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, fails):
        self.fails, self.t = fails, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(3, np.float32), {}

    def step(self, action):
        self.t += 1
        if self.fails and self.t == 50:
            raise RuntimeError("bad luck")
        return np.zeros(3, np.float32), 1.0, self.t % 10 == 0, False, {}


gym.register("Unlucky-v0", Unlucky)
"""


def test_a_sweep_that_trains_is_refused_in_one_sentence(acexp: Acexp, tmp_path: Path) -> None:
    command = ("-m", *SMALL, "total_steps=1e8", "log.every=800", "seed=0,1,2", "name=busy")
    process = start(tmp_path, *command)
    sweep = tmp_path / "outputs" / "sweeps" / "busy"
    wait_until(lambda: len(list(sweep.glob("*/metrics.jsonl"))) == 3, process)
    try:
        before = statuses(sweep)
        for again in (("resume", str(sweep)), command):
            result = acexp(*again)
            assert result.returncode == 2, result.stdout + result.stderr
            assert re.search(r"3 runs of this sweep are being trained: process \d+ on ", result.stderr)
            assert result.stdout == ""
        assert statuses(sweep) == before
        assert "no run is failed" in acexp("resume", str(sweep), "--only", "failed").stdout
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def test_a_single_run_is_not_described_like_a_sweep(acexp: Acexp, tmp_path: Path) -> None:
    result = acexp("total_steps=64", "hydra.launcher.dry_run=true")
    assert result.returncode == 2
    assert "add -m" in result.stderr
    assert "acexp inspect" in result.stderr
    assert not (tmp_path / "outputs").exists(), "it asked that nothing be made"


def test_settings_of_sweeps_have_no_effect_on_a_single_run(acexp: Acexp) -> None:
    given = ("hydra.launcher.processes=1", "hydra/sweeper=basic", "hydra.sweep.dir=there")
    result = acexp("total_steps=64", *given)
    assert result.returncode == 0, result.stderr
    for argument in given:
        assert f"{argument} has no effect without -m." in result.stdout


def test_a_setting_of_another_launcher_is_named_with_that_launcher(acexp: Acexp, tmp_path: Path) -> None:
    result = acexp("-m", "seed=0,1", "hydra/launcher=basic", "hydra.launcher.dry_run=true")
    assert result.returncode == 2
    assert "it belongs to hydra/launcher=population" in result.stderr
    assert "write +" not in result.stderr
    assert not (tmp_path / "outputs").exists()
