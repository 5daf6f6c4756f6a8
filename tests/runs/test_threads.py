"""The number of torch's threads: what suits the observations, unless it is set; recorded with the run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from acexp.config.application import compose
from acexp.runs import runner
from acexp.runs.run import Run, TrainOptions
from tests.runs.test_remarks import env

SMALL = ["algo.n_envs=1", "algo.n_steps=2", "algo.normalize_advantage=false", "total_steps=2"]


@pytest.mark.parametrize(
    ("environment", "given", "threads"),
    [
        (env("Pixels40"), "null", 3),
        (["env=gym", "env.id=CarRacing-v3"], "null", 3),
        (env("Mixed"), "null", 3),
        (env("Pixels20"), "null", 1),
        (env("Vector"), "null", 1),
        (env("Pixels40"), "2", 2),
        (env("Vector"), "2", 2),
    ],
    ids=str,
)
def test_images_are_read_by_every_core_unless_the_threads_are_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: list[str], given: str, threads: int
) -> None:
    used = []
    monkeypatch.setattr(torch, "set_num_threads", used.append)
    config = compose([*environment, *SMALL, f"torch_threads={given}"])
    runner.train([Run(config, tmp_path / "run")], TrainOptions(cores=3))
    assert threads in used
    assert json.loads((tmp_path / "run" / "status.json").read_text())["torch_threads"] == threads
    assert f"torch_threads: {threads}\n" in (tmp_path / "run" / "config.yaml").read_text()
