"""The long way: `make soak`."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.runs.test_resume import assert_equal_runs, start

Acexp = Callable[..., subprocess.CompletedProcess[str]]

RUNS = {
    "halfcheetah": ("env=halfcheetah", "arch=shared", "total_steps=400000"),
    "cliffwalking": ("env=cliffwalking", "optim=dual", "total_steps=800000"),
    "pong": ("env=pong", "engine=gymnasium", "arch=shared", "algo.n_envs=2", "total_steps=4000"),
}
KILLS = 20


@pytest.mark.soak
@pytest.mark.parametrize("settings", RUNS.values(), ids=RUNS)
def test_twenty_kills_change_nothing(acexp: Acexp, tmp_path: Path, settings: tuple[str, ...]) -> None:
    """SIGKILL at random moments, from the first import to the last save, and `resume` every time."""
    every = int(settings[-1].partition("=")[2]) // 100
    settings = (*settings, f"log.every={every}", f"checkpoint.every={every}")
    begun = time.monotonic()
    assert acexp(*settings, "hydra.run.dir=whole").returncode == 0
    seconds = time.monotonic() - begun
    rng = random.Random(1)
    broken = tmp_path / "broken"
    kills = 0
    while kills < KILLS:
        command = ("resume", "broken") if (broken / "status.json").exists() else (*settings, "hydra.run.dir=broken")
        process = start(tmp_path, *command)
        try:
            process.communicate(timeout=rng.uniform(1.0, 4.0 + seconds / 20))
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
    sys.stdout.write(f"killed {kills} times\n")
    last = acexp("resume", "broken")
    assert last.returncode == 0, last.stdout + last.stderr
    assert_equal_runs(broken, tmp_path / "whole")
    assert kills == KILLS, "the run was over too soon to be killed as often"
