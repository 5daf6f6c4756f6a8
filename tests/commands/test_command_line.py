"""The command line, as a user and as a careless user would call it."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from acexp.commands.list_choices import list_choices
from acexp.config import RunConfig
from acexp.core.errors import UserError
from acexp.core.registry import Registry
from acexp.metrics import JsonlWriter
from acexp.runs.outcome import Outcome
from acexp.runs.run_directory import Status
from tests.helpers import REPOSITORY, metrics, start, wait_until

Acexp = Callable[..., subprocess.CompletedProcess[str]]


def only_run(folder: Path) -> Path:
    (status,) = folder.glob("outputs/*/*/status.json")
    return status.parent


def test_one_command_trains_and_says_where(acexp: Acexp, tmp_path: Path) -> None:
    result = acexp("total_steps=1920")
    assert result.returncode == 0, result.stderr
    directory = only_run(tmp_path)
    assert directory.parent.name == "cliffwalking"
    assert f"tensorboard --logdir {directory.relative_to(tmp_path)}" in result.stdout
    assert re.search(r"1,920/1,920 steps, [\d,]+ steps/s, return -?\d", result.stdout), "plain lines, not a terminal"
    assert "\x1b" not in result.stdout
    assert result.stderr == ""

    names = {path.name for path in directory.iterdir()}
    expected = {".hydra", "config.yaml", "metrics.jsonl", "status.json", "summary.json", "checkpoint.pt"}
    assert expected <= names
    assert sum(name.startswith("events.out.tfevents") for name in names) == 1
    status = json.loads((directory / "status.json").read_text())
    assert status["status"] == "done"
    assert status["steps"] == 1920
    assert status["command"] == "acexp total_steps=1920"
    assert {"torch", "gymnasium", "numpy"} <= status["versions"].keys()
    summary = json.loads((directory / "summary.json").read_text())
    assert summary["engine"] == "tabular"
    assert summary["steps_per_second"] > 0
    assert f"engine:\n  name: {summary['engine']}" in (directory / "config.yaml").read_text(), "auto is resolved"


@pytest.mark.parametrize("env", ["halfcheetah", "pong", "lunarlander"])
def test_libraries_are_silent_and_leave_no_files(acexp: Acexp, tmp_path: Path, env: str) -> None:
    result = acexp(f"env={env}", "total_steps=100", "algo.n_envs=2", "algo.n_steps=4", "arch.cnn.features=16")
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert not re.search("warn|A.L.E|Stella|nanobind|deprecated", result.stdout, re.IGNORECASE)
    assert {path.name for path in tmp_path.iterdir()} == {"outputs"}


def test_a_sweep_makes_a_directory_per_run_named_by_what_varies(acexp: Acexp, tmp_path: Path) -> None:
    arguments = ("-m", "arch=separate,shared", "clip.max_norm=0.1,5", "seed=range(2)", "total_steps=64", "name=try")
    result = acexp(*arguments)
    assert result.returncode == 0, result.stderr
    runs = sorted(path.parent.name for path in tmp_path.glob("outputs/sweeps/try/*/summary.json"))
    assert len(runs) == 8
    assert "arch=shared,max_norm=0.1,seed=1" in runs
    for command in ("eval", "report", "dashboard"):
        assert f"\n  acexp {command} outputs/sweeps/try\n" in result.stdout


@pytest.mark.parametrize("launcher", ["population", "basic"])
def test_the_same_sweep_has_the_same_directory_and_leaves_what_is_done(
    acexp: Acexp, tmp_path: Path, launcher: str
) -> None:
    launch = f"hydra/launcher={launcher}"
    assert acexp("-m", "seed=0,1", "total_steps=80", launch).returncode == 0
    before = {path: path.read_bytes() for path in tmp_path.glob("outputs/sweeps/*/*/*") if path.is_file()}
    again = acexp("-m", "total_steps=80", "seed=0,1", launch)
    assert again.returncode == 0, again.stdout + again.stderr
    assert {path: path.read_bytes() for path in tmp_path.glob("outputs/sweeps/*/*/*") if path.is_file()} == before
    (sweep,) = tmp_path.glob("outputs/sweeps/*")
    assert re.fullmatch("cliffwalking,seed-[0-9a-f]{6}", sweep.name)
    # Earlier versions called it by the hash of all overrides.
    former = hashlib.sha256("\n".join(sorted(("seed=0,1", "total_steps=80", launch))).encode()).hexdigest()[:10]
    sweep.rename(sweep.with_name(former))
    assert acexp("-m", "seed=0,1", "total_steps=80", launch).returncode == 0
    assert [path.name for path in tmp_path.glob("outputs/sweeps/*")] == [former]


def test_a_sweep_that_grew_trains_what_is_new(acexp: Acexp, tmp_path: Path) -> None:
    assert acexp("-m", "seed=0", "total_steps=80", "name=grown").returncode == 0
    again = acexp("-m", "seed=0,1", "arch=separate,shared", "total_steps=80", "name=grown")
    assert again.returncode == 0, again.stderr
    assert "left as they are: 1 done" in again.stdout
    found = {
        path.parent.name: json.loads(path.read_text())["status"]
        for path in tmp_path.glob("outputs/*/grown/*/status.json")
    }
    names = ["seed=0", "arch=separate,seed=1", "arch=shared,seed=0", "arch=shared,seed=1"]
    assert found == dict.fromkeys(names, "done")


@pytest.mark.parametrize("launcher", ["population", "basic"])
def test_a_directory_of_a_sweep_that_holds_another_run_is_refused(acexp: Acexp, tmp_path: Path, launcher: str) -> None:
    settings = ("-m", "seed=0,1", "total_steps=80", "name=same", f"hydra/launcher={launcher}")
    assert acexp(*settings).returncode == 0
    told = tmp_path / "outputs" / "sweeps" / "same" / "seed=1" / "status.json"
    told.write_text(re.sub(r'"identity": "\w+"', '"identity": "0"', told.read_text()))
    shutil.copytree(told.parent, told.parent.with_name("seed=1,total_steps=80"))  # what it would be called otherwise
    shutil.move(told.parent.with_name("seed=1,total_steps=80"), told.parent.with_name("total_steps=80,seed=1"))
    again = acexp(*settings)
    assert again.returncode == 1
    assert "1 of 2 runs did not finish" in again.stdout
    assert "This directory already holds a run" in again.stdout
    assert '"identity": "0"' in told.read_text()


@pytest.mark.parametrize("sweeper", ["grid", "basic"])
def test_equal_runs_of_a_sweep_are_trained_once(acexp: Acexp, tmp_path: Path, sweeper: str) -> None:
    settings = ("seed=1,1,2", "optim.learning_rate=1e-3,0.001", "total_steps=80", "name=twice")
    result = acexp("-m", *settings, f"hydra/sweeper={sweeper}")
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("4 runs equal others of this sweep and are trained once") == 1
    found = {
        path.parent.name: json.loads(path.read_text())["status"]
        for path in tmp_path.glob("outputs/*/twice/*/status.json")
    }
    assert found == {"seed=1": "done", "seed=2": "done"}


def test_a_single_run_can_have_a_name(acexp: Acexp, tmp_path: Path) -> None:
    assert acexp("total_steps=64", "name=first try").returncode == 0
    assert only_run(tmp_path) == tmp_path / "outputs" / "cliffwalking" / "first-try"
    again = acexp("total_steps=128", "name=first try")
    assert again.returncode == 2
    assert "already holds a run" in again.stderr
    assert re.search(r"key: +name\n", again.stderr)
    assert "name=..." in again.stderr


def test_a_directory_that_holds_a_run_is_refused_untouched(acexp: Acexp, tmp_path: Path) -> None:
    assert acexp("total_steps=64", "hydra.run.dir=mine").returncode == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    again = acexp("total_steps=128", "hydra.run.dir=mine")
    assert again.returncode == 2
    assert "already holds a run" in again.stderr
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_run_that_its_environment_cannot_take_fails_alone(acexp: Acexp, tmp_path: Path) -> None:
    small = ("algo.n_envs=2", "algo.n_steps=4", "total_steps=80")
    result = acexp("-m", "env=halfcheetah", "normalizer=bounds,none", *small, "name=half")
    assert result.returncode == 1
    assert "1 of 2 runs did not finish" in result.stdout
    assert "finite bounds" in result.stdout
    statuses = {
        path.parent.name: json.loads(path.read_text())["status"]
        for path in tmp_path.glob("outputs/sweeps/half/*/status.json")
    }
    assert sorted(statuses.values()) == ["done", "failed"]
    assert all("bounds" in name for name, status in statuses.items() if status == "failed")


MISTAKES = {
    "group choice": (["env=halfcheetha"], ["did you mean: halfcheetah", "command line: env=halfcheetha"]),
    "group": (["arhc=shared"], ["did you mean: arch"]),
    "key": (["clip.max_nrom=1"], ["did you mean: clip.max_norm", "command line: clip.max_nrom=1"]),
    "added key": (["+clip.max_nrom=1"], ["did you mean: max_norm"]),
    "needless plus": (["+algo.gamma=0.9"], ["exists already", "leave out the +: algo.gamma=..."]),
    "nested key": (["arch.cnn.chanels=[1]"], ["did you mean: arch.cnn.channels"]),
    "top-level key": (["sed=1"], ["did you mean: seed"]),
    "type": (["optim.learning_rate=abc"], ["is a number", "'abc'", "command line: optim.learning_rate=abc"]),
    "fraction of a step": (["algo.n_steps=2.5"], ["a whole number"]),
    "empty": (["seed="], ["a whole number"]),
    "negative rate": (["optim.learning_rate=-1"], ["finite and not negative", "-1.0"]),
    "no environments": (["algo.n_envs=0"], ["at least one environment"]),
    "discount": (["algo.gamma=1.5"], ["[0, 1]"]),
    "combination": (["env=halfcheetah", "normalizer=bounds"], ["17 dimensions", "normalizer=running"]),
    "trunk owner": (["optim=dual", "optim.trunk=nobody"], ["both, actor, critic"]),
    "setting of the other choice": (["optim.trunk=actor"], ["optim.trunk"]),
    "environment": (["env=gym", "env.id=CartPoll-v1"], ["did you mean: CartPole-v1"]),
    "no environment": (["env=gym"], ["env.id has no value"]),
    "engine for this": (["env=gym", "env.id=Taxi-v4", "engine=ale"], ["choices:      auto, gymnasium"]),
    "engine": (["engine=envpol"], ["did you mean: envpool"]),
    "algorithm": (["optim.algorithm=adan"], ["did you mean: adam"]),
    "activation": (["arch.activation=rely"], ["did you mean: relu"]),
    "device": (["device=warp"], ["cannot use the device"]),
    "device without data": (["device=meta"], ["cannot use the device 'meta'", "cuda"]),
    "plugin": (["plugins=[nope]"], ["cannot be found"]),
    "sweep without -m": (["seed=0,1"], ["add -m"]),
    "range without -m": (["seed=range(3)"], ["add -m"]),
    "directory": (["hydra.run.dir=/proc/nowhere"], ["cannot be made", "command line: hydra.run.dir=/proc/nowhere"]),
    "sweep's directory": (
        ["-m", "seed=0,1", "hydra.sweep.dir=/proc/nowhere"],
        ["cannot be made", "command line: hydra.sweep.dir=/proc/nowhere"],
    ),
    "name above": (["name=.."], ["A directory cannot have this name", "command line: name=.."]),
    "name of nothing": (["name=."], ["A directory cannot have this name"]),
    "name with a folder": (["name=mine/first"], ["A directory cannot have this name", "without slashes"]),
    "name of a sweep": (["-m", "seed=0,1", "name=../mine"], ["A directory cannot have this name"]),
    "absolute name of a sweep": (["-m", "seed=0,1", "name=/tmp/mine"], ["A directory cannot have this name"]),
    "name of one run after the other": (["-m", "seed=0,1", "name=..", "hydra/launcher=basic"], ["cannot have this"]),
    "names": (["-m", "seed=0,1", "name=a,b"], ["A sweep has one name", "command line: name=a,b"]),
    "in a sweep": (["-m", "seed=0,1", "clip.max_norm=0.1,abc"], ["is a number"]),
    "nothing in a sweep": (
        ["-m", "seed=range(0)"],
        ["A sweep over no values has no runs", "command line: seed=range(0)"],
    ),
    "choice in a sweep": (["-m", "arch=shared,seperate"], ["did you mean: separate"]),
    "inspect": (["inspect", "env=pongg"], ["did you mean: pong"]),
    "list": (["list", "archs"], ["did you mean: arch"]),
}


@pytest.mark.parametrize(("arguments", "said"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_end_in_a_short_message_and_leave_nothing(
    acexp: Acexp, tmp_path: Path, arguments: list[str], said: list[str]
) -> None:
    result = acexp(*arguments)
    assert result.returncode == 2, result.stdout + result.stderr
    for text in said:
        assert text in result.stderr
    assert "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) <= 15
    assert list(tmp_path.iterdir()) == []


def test_a_value_in_a_file_is_blamed_on_the_file(acexp: Acexp, tmp_path: Path) -> None:
    folder = tmp_path / "mine" / "clip"
    folder.mkdir(parents=True)
    (folder / "tight.yaml").write_text("name: norm\nmax_norm: -3\n")
    result = acexp("--config-dir", "mine", "clip=tight")
    assert result.returncode == 2
    assert "place:        mine/clip/tight.yaml" in result.stderr


def interrupt(folder: Path, *arguments: str) -> tuple[int, str]:
    """Start training, press Ctrl-C once metrics are written; the exit code and all that was printed."""
    process = start(folder, *arguments, "total_steps=100000000", "log.every=400")
    wait_until(lambda: any(path.stat().st_size for path in folder.glob("outputs/**/metrics.jsonl")), process)
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode is not None
    return process.returncode, printed


def test_ctrl_c_ends_cleanly(tmp_path: Path) -> None:
    code, printed = interrupt(tmp_path)
    assert code == 130, printed
    assert "interrupted" in printed
    assert "acexp: stopping: the run will be saved and end after this update. Now it is " in printed
    assert "Traceback" not in printed
    directory = only_run(tmp_path)
    status = json.loads((directory / "status.json").read_text())
    assert status["status"] == "interrupted"
    assert 0 < metrics(directory)[-1]["step"] <= status["steps"]
    assert (directory / "checkpoint.pt").exists()


@pytest.mark.parametrize(("launcher", "n_begun"), [("population", 3), ("basic", 1)])
def test_ctrl_c_ends_a_sweep(tmp_path: Path, launcher: str, n_begun: int) -> None:
    code, printed = interrupt(tmp_path, "-m", "seed=0,1,2", "name=long", f"hydra/launcher={launcher}")
    assert code == 130, printed
    found = [json.loads(path.read_text())["status"] for path in tmp_path.glob("outputs/sweeps/long/*/status.json")]
    assert found == ["interrupted"] * n_begun
    assert "A second Ctrl-C ends" in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize("seconds", [0.3, 1.0, 1.7, 2.4, 3.1, 3.8])
def test_ctrl_c_while_a_sweep_starts(tmp_path: Path, seconds: float) -> None:
    """In a terminal it reaches every process, whatever each has come to."""
    process = subprocess.Popen(
        [sys.executable, "-m", "acexp", "-m", "seed=range(6)", "arch=separate,shared", "total_steps=100000000"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            time.sleep(seconds)
            os.killpg(process.pid, signal.SIGINT)
            printed, _ = process.communicate(timeout=60)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)  # it must not train beside the tests that follow
            raise
    # Python may end itself with the signal when it met it in an import; a shell reports 130 for both.
    assert process.returncode in (130, -signal.SIGINT), printed
    # Before the first line of acexp has run, nothing can be said.
    has_begun = bool(printed) or process.returncode == 130
    assert not has_begun or any(words in printed for words in ("interrupted", "not started"))
    assert "Traceback" not in printed


def test_ctrl_c_cannot_be_swallowed_by_an_import(tmp_path: Path) -> None:
    """Packages contain bare excepts; what stands in for one here takes a KeyboardInterrupt and goes on."""
    (tmp_path / "sitecustomize.py").write_text(
        "import builtins, os, signal\n"
        "plain = builtins.__import__\n"
        "def swallowing(name, *rest, **named):\n"
        "    if name == 'torch':\n"
        "        builtins.__import__ = plain\n"
        "        try:\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "        except:\n"
        "            pass\n"
        "    return plain(name, *rest, **named)\n"
        "builtins.__import__ = swallowing\n"
    )
    result = subprocess.run(
        [sys.executable, "-m", "acexp", "report", "outputs"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{REPOSITORY}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (result.returncode, result.stdout) == (130, ""), result.stderr
    assert result.stderr == "acexp: interrupted\n"


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    command = f"{sys.executable} -m acexp --help | head -n 1"
    result = subprocess.run(
        command,
        shell=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "acexp trains" in result.stdout
    assert result.stderr == ""


def test_inspect_shows_what_the_exercise_printed(acexp: Acexp, tmp_path: Path) -> None:
    result = acexp(
        "inspect", "env=pong", "arch=shared", "optim=dual", "normalizer=bounds", "clip=norm", "clip.max_norm=0.5"
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    for text in (
        "Box(0, 255, (4, 84, 84), uint8)",
        "Discrete(6)",
        "Conv2d(4, 16, 8, stride=4)",
        "Linear(2592, 256)",
        "actor.policy",
        "uint8 (4, 84, 84), min 0, max",
        "float32 (4, 84, 84), min 0, max 0.",
        "probabilities",
        "value",
        "optim_actor",
        "optim_critic",
    ):
        assert text in result.stdout, text
    assert re.search(r"trunk\s+676,144", result.stdout)
    after = [float(x) for x in re.findall(r"optim_\w+\s+[\d.]+ -> ([\d.]+)", result.stdout)]
    assert len(after) == 2
    assert max(after) <= 0.5, "what the exercise printed as after clipping was the norm before"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("env", ["cliffwalking", "lunarlander", "halfcheetah"])
def test_inspect_works_for_every_environment(acexp: Acexp, env: str) -> None:
    result = acexp("inspect", f"env={env}")
    assert result.returncode == 0, result.stderr
    assert "nan" not in result.stdout
    if env == "halfcheetah":
        assert "float64 (17,)" in result.stdout
        assert "std" in result.stdout


def test_inspect_shows_both_sides_the_policy_and_the_steps_of_an_update(acexp: Acexp) -> None:
    """16 steps x 8 environments are 128 slots, 32 in each of 4 minibatches."""
    given = ("algo=ppo", "policy=beta", "arch.actor.hidden_sizes=[32]", "arch.critic.layer_norm=true")
    result = acexp("inspect", "env=halfcheetah", *given, "algo.target_kl=0.02", "optim.final_share=0.25")
    assert result.returncode == 0, result.stderr
    shown = " ".join(result.stdout.split())
    for text in (
        "ppo PPO: several epochs of minibatches",
        "rollout 16 steps x 8 environments",
        "4 epochs x 4 minibatches, until the divergence is above 0.02",
        "learning rate, optim_joint linear to 0.25 of its first value",
        "the first minibatch, with 32 slots of 16 steps x 8 environments",
        "actor.hidden0 Linear(17, 32), tanh actor.policy Linear(32, 12)",
        "critic.hidden1 Linear(64, 64)",
        "LayerNorm",
        "beta distribution",
        "deterministic action the mode",
    ):
        assert text in shown, text


def test_list_shows_a_line_per_choice(acexp: Acexp) -> None:
    everything = acexp("list")
    assert everything.returncode == 0
    for choice in ("env=pong", "arch=shared", "optim=dual", "normalizer=running", "clip=value", "engine=ale"):
        assert re.search(rf"^{choice}\s+\S+", everything.stdout, re.MULTILINE), choice
    assert acexp("list", "arch").stdout.splitlines()[0].startswith("arch=separate")


def test_every_registry_names_a_list_that_exists(capsys: pytest.CaptureFixture[str]) -> None:
    modules = [module for name, module in list(sys.modules.items()) if name.startswith("acexp.")]
    registries = {id(x): x for module in modules for x in vars(module).values() if isinstance(x, Registry)}
    assert len(registries) >= 10
    for registry in registries.values():
        with pytest.raises(UserError) as refused:
            registry["no such name"]
        (command,) = re.findall(r"`acexp (.+?)`", refused.value.remedy or "")
        assert list_choices(command.split()[1:]) == 0
        assert registry.names[0] in capsys.readouterr().out


@pytest.mark.parametrize("flags", [("--help",), ("--cfg", "job"), ("--info", "defaults")])
def test_hydras_own_flags_work(acexp: Acexp, tmp_path: Path, flags: tuple[str, ...]) -> None:
    result = acexp(*flags)
    assert result.returncode == 0, result.stderr
    assert result.stdout
    assert not (tmp_path / "outputs").exists()


def test_a_full_disk_ends_in_one_line(
    config: Callable[..., RunConfig], train: Callable[..., list[Outcome]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stands in for a disk that fills while training: every write fails from the third line of metrics on."""
    written = []

    def full(self: JsonlWriter, *args: object) -> None:
        written.append(args)
        if len(written) > 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(JsonlWriter, "write", full)
    (outcome,) = train(config("total_steps=5000"))
    assert outcome.status is Status.FAILED
    assert outcome.error == "the run's files cannot be written: No space left on device"
    assert json.loads((outcome.directory / "status.json").read_text())["status"] == "failed"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a file system of 200 kB needs root")
def test_a_disk_that_is_really_full(acexp: Acexp, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", disk], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        result = acexp("total_steps=200000", "log.every=64", f"hydra.run.dir={disk}/run")
        assert result.returncode == 1
        assert "the run's files cannot be written: No space left on device" in result.stdout
        assert "Traceback" not in result.stdout + result.stderr
        assert json.loads((disk / "run/status.json").read_text())["status"] == "running", "written whole, or not at all"
    finally:
        subprocess.run(["umount", disk], check=True)
