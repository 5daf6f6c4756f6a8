"""One run over several processes, as torchrun starts them: it is the run that one process would have trained."""

from __future__ import annotations

import json
import math
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from acexp.core.errors import UserError
from acexp.core.process_group import SINGLE_PROCESS
from acexp.system.distributed import require_even_shards
from acexp.system.torchrun import local_world_size, rank, world_size
from tests.helpers import Process, metrics, parameters, start, wait_until

Acexp = Callable[..., subprocess.CompletedProcess[str]]

CLIFF = ("env=cliffwalking", "total_steps=6400", "log.every=320", "algo.normalize_advantage=true")
CHEETAH = ("env=halfcheetah", "algo.n_envs=4", "total_steps=512", "log.every=64")
LANDER = ("env=lunarlander", "arch=shared", "optim=dual", "algo.n_envs=4", "algo.n_steps=16", "total_steps=2560")
PPO = (*CHEETAH, "algo=ppo", "algo.minibatches=2", "algo.normalize_advantage=true", "algo.target_kl=0.01")


def start_two(folder: Path, *arguments: str) -> Process:
    torchrun = ("torch.distributed.run", "--nproc-per-node=2", "--rdzv-endpoint=localhost:0", "--rdzv-backend=c10d")
    # Not every machine that runs tests can resolve its own host name.
    return start(folder, *arguments, runner=(*torchrun, "--local-addr=localhost"), GLOO_SOCKET_IFNAME="lo")


def run_as_two(folder: Path, *arguments: str) -> tuple[list[int | None], str]:
    """Run a command in two processes with the variables that torchrun sets, and return exit codes and output.

    torchrun itself is in the other tests; its own start takes longer than the runs of these.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = {
        "TORCHELASTIC_RUN_ID": "test", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "GLOO_SOCKET_IFNAME": "lo",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    processes = [start(folder, *arguments, **shared, RANK=str(rank), LOCAL_RANK=str(rank)) for rank in range(2)]
    printed = "".join([process.communicate(timeout=300)[0] for process in processes])
    return [process.returncode for process in processes], printed


def finish(process: Process) -> str:
    printed, _ = process.communicate(timeout=300)
    return printed


def assert_close(one: list[dict[str, Any]], other: list[dict[str, Any]], tolerance: float) -> None:
    """Every figure but speed."""
    assert len(one) == len(other) > 0
    for line, line_of_other in zip(one, other, strict=True):
        assert line.keys() == line_of_other.keys()
        for tag, value in line.items():
            if "steps_per_second" not in tag:
                expected = pytest.approx(value, rel=tolerance, abs=tolerance, nan_ok=True)
                assert line_of_other[tag] == expected, (line["step"], tag)


SUCCEEDING = """
import gymnasium as gym
import numpy as np


class Succeeding(gym.Env):
    \"\"\"Episodes of three steps, one half of which succeed, and only those end with a distance.\"\"\"

    observation_space = gym.spaces.Box(-1.0, 1.0, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.t += 1
        distance = float(self.np_random.random())
        info = {"is_success": distance < 0.5} | ({"distance": distance} if distance < 0.5 else {})
        return np.full(1, distance, np.float32), distance, self.t == 3, False, info


gym.register("Succeeding-v0", Succeeding)
"""


def test_two_processes_log_the_infos_that_one_logs(acexp: Acexp, tmp_path: Path) -> None:
    """Episodes end in both processes; some have a number that others do not."""
    (tmp_path / "succeeding.py").write_text(SUCCEEDING)
    settings = ("env=gym", "env.id=succeeding:Succeeding-v0", "algo.n_envs=4", "total_steps=320", "log.every=80")
    settings = (*settings, "log.info=[is_success,distance]", "eval.every=160", "eval.episodes=4")
    alone = acexp(*settings, "hydra.run.dir=one")
    assert alone.returncode == 0, alone.stdout + alone.stderr
    codes, printed = run_as_two(tmp_path, *settings, "hydra.run.dir=two")
    assert codes == [0, 0], printed
    one, two = (
        [{tag: v for tag, v in line.items() if "info/" in tag} for line in metrics(tmp_path / name)]
        for name in ("one", "two")
    )
    assert {tag for line in one for tag in line} == {
        "info/is_success", "info/distance", "eval/info/is_success", "eval/info/distance",
    }  # fmt: skip
    assert all(0.0 < line["info/is_success"] < 1.0 for line in one if "info/is_success" in line)
    assert_close([{"step": 0, **line} for line in one], [{"step": 0, **line} for line in two], 1e-9)


def process_of(process: Process, rank: int) -> int:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    (found,) = [
        int(pid) for pid in children if f"\0RANK={rank}\0" in Path(f"/proc/{pid}/environ").read_bytes().decode()
    ]
    return found


@pytest.mark.parametrize(
    ("settings", "tolerance", "torchrun"),
    [(CLIFF, 2e-4, True), (CHEETAH, 2e-4, False), (LANDER, 2e-3, False), (PPO, 1e-3, False)],
)
def test_two_processes_train_the_run_that_one_trains(
    settings: tuple[str, ...], tolerance: float, torchrun: bool, acexp: Acexp, tmp_path: Path
) -> None:
    alone = acexp(*settings, "hydra.run.dir=one")
    assert alone.returncode == 0, alone.stdout + alone.stderr
    if torchrun:
        process = start_two(tmp_path, *settings, "hydra.run.dir=outputs/two")
        printed = finish(process)
        codes = [process.returncode]
    else:
        codes, printed = run_as_two(tmp_path, *settings, "hydra.run.dir=outputs/two")
    assert set(codes) == {0}, printed
    assert printed.count("done: ") == 1
    assert_close(metrics(tmp_path / "one"), metrics(tmp_path / "outputs" / "two"), tolerance)
    for name, x in parameters(tmp_path / "one").items():
        torch.testing.assert_close(parameters(tmp_path / "outputs" / "two")[name], x, rtol=tolerance, atol=tolerance)
    assert [path.name for path in (tmp_path / "outputs").iterdir()] == ["two"]
    # The other process has written nothing, and left nothing behind.
    assert len(list((tmp_path / "outputs" / "two").glob("events.*"))) == 1


def test_a_process_that_is_lost_ends_the_run_which_goes_on_from_a_good_checkpoint(acexp: Acexp, tmp_path: Path) -> None:
    settings = ("env=cliffwalking", "total_steps=40000", "log.every=4000", "checkpoint.every=2000")
    process = start_two(tmp_path, *settings, "hydra.run.dir=outputs/run")
    run = tmp_path / "outputs" / "run"
    wait_until((run / "checkpoint.json").exists, process)
    os.kill(process_of(process, 1), signal.SIGKILL)
    printed = finish(process)
    assert process.returncode != 0
    assert "another process of this run was lost" in printed
    status = json.loads((run / "status.json").read_text())
    assert status["status"] == "failed"
    resumed = acexp("resume", str(run))
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert "resume: approximate" not in resumed.stdout
    alone = acexp(*settings, "hydra.run.dir=one")
    assert alone.returncode == 0
    assert_close(metrics(tmp_path / "one"), metrics(run), 2e-3)


def test_a_run_that_is_told_to_stop_saves_and_is_resumed_by_as_many(acexp: Acexp, tmp_path: Path) -> None:
    settings = ("env=cliffwalking", "total_steps=30000", "log.every=3000", "checkpoint.every=2000")
    process = start_two(tmp_path, *settings, "hydra.run.dir=outputs/run")
    run = tmp_path / "outputs" / "run"
    wait_until((run / "checkpoint.json").exists, process)
    process.send_signal(signal.SIGTERM)
    printed = finish(process)
    assert process.returncode != 0
    assert "interrupted: " in printed
    assert json.loads((run / "status.json").read_text())["status"] == "interrupted"
    codes, printed = run_as_two(tmp_path, "resume", str(run))
    assert codes == [0, 0], printed
    assert acexp(*settings, "hydra.run.dir=one").returncode == 0
    assert_close(metrics(tmp_path / "one"), metrics(run), 2e-3)


def test_what_cannot_be_shared_is_refused_once(tmp_path: Path) -> None:
    for arguments, problem in (
        (("env=cliffwalking", "algo.n_envs=3"), "cannot be divided evenly among 2 processes"),
        (("-m", "seed=0,1"), "torchrun spreads one run over processes"),
        (("env=clifwalking",), "did you mean: cliffwalking"),
    ):
        codes, printed = run_as_two(tmp_path, *arguments)
        assert 0 not in codes
        assert printed.count(problem) == 1, printed
        assert printed.count("acexp: ") == 1


def test_who_is_who() -> None:
    environment = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "4", "RANK": "3", "LOCAL_WORLD_SIZE": "2"}
    assert (world_size(environment), rank(environment), local_world_size(environment)) == (4, 3, 2)
    assert (world_size({}), rank({}), local_world_size({})) == (1, 0, 1)
    # Slurm and MPI set some of these for programs that torchrun did not start.
    assert world_size({"WORLD_SIZE": "4", "RANK": "3"}) == 1


def test_one_process_alone_hears_itself() -> None:
    x = torch.tensor([1.0, math.nan])
    assert SINGLE_PROCESS.sum(x) is x
    assert SINGLE_PROCESS.gather((x,), 0)[0] is x
    assert SINGLE_PROCESS.shard(8) == slice(0, 8)
    assert SINGLE_PROCESS.maximum((3, 0)) == [3, 0]
    assert SINGLE_PROCESS.gather_objects("a") == ["a"]
    assert SINGLE_PROCESS.from_rank_zero(lambda: 4) == 4


def test_shares_must_be_even(monkeypatch: pytest.MonkeyPatch) -> None:
    require_even_shards(7)
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "4", "RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    require_even_shards(8)
    with pytest.raises(UserError, match=r"set algo.n_envs=12"):
        require_even_shards(9)
