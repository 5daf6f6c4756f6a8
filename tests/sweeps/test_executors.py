"""Sweeps that Ray and Slurm's jobs train: what comes of them, and what happens when a worker is lost."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from acexp.config.launcher import LauncherConfig, launcher_of
from acexp.core.errors import UserError
from acexp.sweeps.executors import open_executor
from acexp.sweeps.executors.file_channel import FileChannel
from acexp.sweeps.worker import Progress
from acexp.system.lock import waiting_lock
from tests.helpers import Process, metrics, parameters, shared_folder, start, wait_until

Acexp = Callable[..., subprocess.CompletedProcess[str]]

RUNS = ("-m", "env=cliffwalking", "algo.n_envs=4", "log.every=2000", "arch=separate,shared", "seed=0,1")
GROUPS_OF_TWO = "hydra.launcher.max_members=2"
RAY = ("hydra.launcher.executor=ray", "hydra.launcher.processes=2")
CLUSTER = "import ray; print(ray.init(num_cpus=2, include_dashboard=False).address_info['gcs_address']); input()"
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "of-this-cluster"}
SLURM = ("hydra.launcher.executor=slurm", "hydra.launcher.slurm.cluster=local")
LONG = ("total_steps=16000", "checkpoint.every=2000")


def learned(sweep: Path) -> dict[str, tuple[list[dict[str, float]], dict[str, list[float]]]]:
    """What every run logged, but for its speed, and the parameters that it ended with."""
    return {
        run.parent.name: (
            [{tag: x for tag, x in line.items() if "steps_per_second" not in tag} for line in metrics(run.parent)],
            {name: tensor.flatten().tolist() for name, tensor in parameters(run.parent).items()},
        )
        for run in sorted(sweep.glob("*/status.json"))
    }


def statuses(sweep: Path) -> list[str]:
    return [json.loads(path.read_text())["status"] for path in sorted(sweep.glob("*/status.json"))]


def a_trainer(process: Process, sweep: Path) -> int:
    """A process that trains a run of the sweep which has been saved, and is far from its end."""
    found: list[int] = []

    def look() -> bool:
        for saved in sweep.glob("*/checkpoint.json"):
            holder = re.match(r"process (\d+) ", (saved.parent / ".lock").read_text())
            if holder and json.loads((saved.parent / "status.json").read_text())["status"] == "running":
                found.append(int(holder[1]))
        return bool(found)

    wait_until(look, process)
    return found[0]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sweep, trained by processes of this machine, once for all processes of pytest."""
    folder = shared_folder(tmp_path_factory, "executors")
    sweep = folder / "outputs" / "sweeps" / "s"
    with waiting_lock(folder / "lock"):
        if not sweep.exists():
            process = start(folder, *RUNS, *LONG, "name=s", GROUPS_OF_TWO)
            printed, _ = process.communicate(timeout=300)
            assert process.returncode == 0, printed
    return sweep


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a Ray that is there already."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", CLUSTER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0", **TOKEN},
    )
    assert process.stdout
    yield f"hydra.launcher.ray.address={process.stdout.readline().strip()}"
    process.communicate("\n", timeout=60)


@pytest.mark.long
def test_ray_trains_what_processes_here_train(expected: Path, acexp: Acexp, tmp_path: Path) -> None:
    result = acexp(*RUNS, *LONG, "name=s", GROUPS_OF_TWO, *RAY)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("2 done: ") == 2
    sweep = tmp_path / "outputs" / "sweeps" / "s"
    assert learned(sweep) == learned(expected)
    assert not list(sweep.glob(".populations/*"))
    again = acexp(*RUNS, *LONG, "name=s", GROUPS_OF_TWO, *RAY)
    assert "left as they are: 4 done" in again.stdout
    assert "4 done" in acexp("status", str(sweep)).stdout


@pytest.mark.long
def test_a_worker_of_a_cluster_that_is_killed_loses_nothing(expected: Path, cluster: str, tmp_path: Path) -> None:
    process = start(tmp_path, *RUNS, *LONG, "name=s", GROUPS_OF_TWO, *RAY, cluster, **TOKEN)
    sweep = tmp_path / "outputs" / "sweeps" / "s"
    os.kill(a_trainer(process, sweep), signal.SIGKILL)
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    assert "lost: " in printed
    assert statuses(sweep) == ["done"] * 4
    assert learned(sweep) == learned(expected)


def test_a_ray_sweep_that_is_told_to_stop_saves_its_runs_and_goes_on(
    expected: Path, acexp: Acexp, tmp_path: Path
) -> None:
    # The second population waits for the place of the first.
    one_place = "hydra.launcher.processes=1"
    process = start(tmp_path, *RUNS, *LONG, "name=s", GROUPS_OF_TWO, *RAY, one_place, **TOKEN)
    sweep = tmp_path / "outputs" / "sweeps" / "s"
    a_trainer(process, sweep)
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM, printed
    assert "Traceback" not in printed
    assert "interrupted" in statuses(sweep)
    assert "running" not in statuses(sweep)
    result = acexp("resume", str(sweep))
    assert result.returncode == 0, result.stdout + result.stderr
    assert statuses(sweep) == ["done"] * 4
    assert learned(sweep) == learned(expected)


@pytest.mark.long
def test_slurms_jobs_train_what_processes_here_train(expected: Path, acexp: Acexp, tmp_path: Path) -> None:
    result = acexp(*RUNS, *LONG, "name=s", GROUPS_OF_TWO, *SLURM)
    assert result.returncode == 0, result.stdout + result.stderr
    assert learned(tmp_path / "outputs" / "sweeps" / "s") == learned(expected)


@pytest.mark.parametrize("name", ["SIGUSR2", "SIGKILL"])
def test_a_slurm_job_that_is_preempted_or_killed_goes_on(expected: Path, tmp_path: Path, name: str) -> None:
    process = start(tmp_path, *RUNS, *LONG, "name=s", GROUPS_OF_TWO, *SLURM)
    sweep = tmp_path / "outputs" / "sweeps" / "s"
    os.kill(a_trainer(process, sweep), getattr(signal, name))
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    # Preempted, a job is queued again by the scheduler itself; killed, it is submitted anew.
    assert ("lost: " in printed) == (name == "SIGKILL")
    requeued = [log for log in sweep.glob(".slurm/*.out") if "Requeued job" in log.read_text()]
    assert len(requeued) == (1 if name == "SIGUSR2" else 0)
    assert statuses(sweep) == ["done"] * 4
    assert learned(sweep) == learned(expected)


def test_without_its_package_an_executor_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("acexp.system.packages.is_installed", lambda package: False)
    for name in ("ray", "slurm"):
        with pytest.raises(UserError, match=rf"pip install 'acexp\[{name}\]'"):
            open_executor(LauncherConfig(executor=name))


def test_the_core_does_not_import_the_extras(tmp_path: Path) -> None:
    code = (
        "import sys; from acexp.__main__ import main\n"
        "try: main(['-m', 'total_steps=100', 'seed=0,1'])\n"
        "except SystemExit: pass\n"
        "print({'ray', 'submitit', 'optuna'} & set(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True
    )
    assert result.stdout.splitlines()[-1] == "set()"


def test_slurm_where_there_is_none_is_refused_before_anything_is_made(acexp: Acexp, tmp_path: Path) -> None:
    result = acexp("-m", "seed=0,1", "hydra.launcher.executor=slurm", "name=s", PATH="/nowhere")
    assert result.returncode == 2
    assert "the command sbatch was not found" in result.stderr
    assert "hydra.launcher.slurm.cluster=local" in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.iterdir())


def test_ray_that_cannot_be_reached_is_refused(acexp: Acexp) -> None:
    result = acexp("-m", "seed=0,1", "hydra.launcher.executor=ray", "hydra.launcher.ray.address=nowhere:1")
    assert result.returncode == 2
    assert "Ray cannot be reached" in result.stderr
    assert "Traceback" not in result.stderr


def test_more_than_ray_has_is_refused(acexp: Acexp) -> None:
    result = acexp("-m", "seed=0,1", *RAY, "hydra.launcher.gpus=64")
    assert result.returncode == 2
    assert "Ray has no place for a population" in result.stderr


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("executor=rya", "ray"),
        ("max_members=0", "1 or more"),
        ("retries=-1", "0 or more"),
        ("cpus=many", "a whole number"),
        ("slurm.cluster=lokal", "local"),
        ("slurm.timeout_min=0", "1 or more"),
    ],
)
def test_a_launchers_settings_are_checked(said: str, told: str, acexp: Acexp) -> None:
    result = acexp("-m", "seed=0,1", f"hydra.launcher.{said}")
    assert result.returncode == 2, result.stdout + result.stderr
    assert f"hydra.launcher.{said.split('=')[0]}" in result.stderr
    assert told in result.stderr
    assert "Traceback" not in result.stderr
    with pytest.raises(UserError, match=re.escape(told)):
        launcher_of([f"hydra.launcher.{said}"])


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("hydra.launcher.retrys=2", "hydra.launcher.retries"),
        ("hydra.launcher.slurm.partitoin=x", "hydra.launcher.slurm.partition"),
        ("hydra.sweeper.n_trails=2", "hydra.sweeper.n_trials"),
    ],
)
def test_a_misspelt_setting_of_a_launcher_or_a_sweeper_names_the_one_that_was_meant(
    said: str, meant: str, acexp: Acexp
) -> None:
    result = acexp("-m", "hydra/sweeper=optuna", "algo.gamma=interval(0.9,1)", said)
    assert result.returncode == 2, result.stdout + result.stderr
    assert f"did you mean: {meant}\n" in result.stderr


def test_a_mailbox_that_is_gone_is_noticed(tmp_path: Path) -> None:
    channel = FileChannel(tmp_path / "box")
    channel.open()
    assert not channel.has_begun()
    channel.begin()
    channel.report(Progress(40, 10.0, None))
    assert channel.has_begun()
    assert channel.progress() == Progress(40, 10.0, None)
    assert not channel.stop_requested()
    channel.request_stop()
    assert channel.stop_requested()
    (channel.folder / "progress.json").write_text('{"step"')
    assert channel.progress() is None
    channel.close()
    with pytest.raises(OSError, match="box"):
        channel.report(Progress(80, 10.0, None))
