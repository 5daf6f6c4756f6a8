"""What is logged: TensorBoard's real server reads it, and equal things are written once."""

from __future__ import annotations

import errno
import json
import math
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from acexp.config import RunConfig
from acexp.core.distributions import Categorical
from acexp.core.errors import UserError
from acexp.core.hyperparameters import Hyperparameters
from acexp.core.losses import Objective
from acexp.metrics import JsonlWriter, Recorder, Silent, read_series
from acexp.runs import runner
from acexp.runs.outcome import Outcome
from acexp.runs.run import Run
from acexp.runs.run_directory import Status
from tests.helpers import REPOSITORY, metrics

Config = Callable[..., RunConfig]
Train = Callable[..., list[Outcome]]


class Upright(gym.Wrapper[Any, Any, Any, Any]):
    """Says in its info whether the pendulum points upward."""

    def step(self, action: Any) -> Any:
        observation, reward, terminated, truncated, _ = self.env.step(action)
        return observation, reward, terminated, truncated, {"is_upright": bool(observation[0] > 0.0)}


@pytest.fixture(scope="module")
def logdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a shared network with two optimizers, which has every kind of tag."""
    from acexp.config.application import compose

    folder = tmp_path_factory.mktemp("logdir")
    settings = [
        "env=gym",
        "env.id=Pendulum-v1",
        "arch=shared",
        "optim=dual",
        "total_steps=8000",
        "torch_threads=1",
        "algo=ppo",
        "algo.n_steps=5",
        "eval.every=5000",
        "eval.episodes=2",
        f"env.wrappers=[{{name: '{__name__}:Upright'}}]",
        "log.info=[is_upright]",
    ]
    (outcome,) = runner.train([Run(compose(settings), folder / "run")])
    assert outcome.status is Status.DONE
    return folder


@pytest.fixture(scope="module")
def server(logdir: Path) -> Iterator[str]:
    """The address of a TensorBoard that really runs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "tensorboard.main", "--logdir", str(logdir), "--port", str(port), "--host", "127.0.0.1"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=30)


def fetch(server: str, path: str, ready: Callable[[Any], bool]) -> Any:
    """JSON from the server, once it has loaded the requested data."""
    deadline = time.monotonic() + 90
    while True:
        try:
            with urllib.request.urlopen(f"{server}{path}", timeout=10) as response:
                answer = json.load(response)
            if ready(answer):
                return answer
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            pass
        assert time.monotonic() < deadline, f"TensorBoard did not answer {path}"
        time.sleep(0.5)


DOCUMENTED = re.findall(r"^\| `([\w/<>]+)` \|", (REPOSITORY / "docs" / "metrics.md").read_text(), re.MULTILINE)


def pattern(tag: str) -> str:
    return re.sub(r"<\w+>", r"\\w+", tag)


def test_tensorboard_lists_every_documented_tag_and_no_other(server: str) -> None:
    tags = fetch(server, "/data/plugin/scalars/tags", lambda answer: len(answer.get("run", {})) > 25)["run"]
    for tag in DOCUMENTED:
        assert any(re.fullmatch(pattern(tag), given) for given in tags), f"{tag} is documented but not there"
    for given in tags:
        assert any(re.fullmatch(pattern(tag), given) for tag in DOCUMENTED), f"{given} is not documented"


def test_tensorboard_shows_before_and_after_clipping_on_one_chart(server: str) -> None:
    layout = fetch(server, "/data/plugin/custom_scalars/layout", lambda answer: bool(answer.get("category")))
    (category,) = layout["category"]
    charts = {chart["title"]: chart["multiline"]["tag"] for chart in category["chart"]}
    assert set(charts) == {"all", "actor", "critic", "trunk", "optim_actor", "optim_critic"}
    for part, tags in charts.items():
        assert tags == [f"grad_norm/{part}/before_clip", f"grad_norm/{part}/after_clip"]


def test_tensorboard_shows_the_config_as_text(server: str) -> None:
    fetch(server, "/data/plugin/text/tags", lambda answer: any("config" in tag for tag in answer.get("run", [])))
    (text,) = fetch(server, "/data/plugin/text/text?run=run&tag=config/text_summary", bool)
    assert "id: Pendulum-v1" in text["text"]


def test_tensorboard_and_metrics_jsonl_say_the_same(logdir: Path) -> None:
    accumulator = EventAccumulator(str(logdir / "run"), size_guidance={"scalars": 0})
    accumulator.Reload()
    for line in metrics(logdir / "run"):
        for tag, value in line.items():
            if tag != "step":
                points = {event.step: event.value for event in accumulator.Scalars(tag)}
                assert points[line["step"]] == pytest.approx(value, rel=1e-6)


def test_values_that_do_not_exist_are_left_out(logdir: Path) -> None:
    lines = metrics(logdir / "run")
    # Pendulum's episodes of 200 steps end all together, every 8 * 201 slots.
    with_return = [line["step"] for line in lines if "charts/episode_return" in line]
    assert with_return == [2000, 4000, 5000, 7000]
    assert "NaN" not in (logdir / "run" / "metrics.jsonl").read_text()
    assert all(line["charts/episode_length"] == 200 for line in lines if "charts/episode_length" in line)


def test_valid_steps_count_what_was_not_a_reset(logdir: Path) -> None:
    last = metrics(logdir / "run")[-1]
    assert last["step"] == 8000
    # 1000 slots per environment, of which slots 201, 402, 603 and 804 are resets.
    assert last["charts/valid_steps"] == 8 * (1000 - 4)


def test_wall_clock_values_are_not_in_metrics_jsonl(logdir: Path) -> None:
    assert "steps_per_second" not in (logdir / "run" / "metrics.jsonl").read_text()


def test_the_last_update_is_logged_whatever_the_interval(config: Config, train: Train) -> None:
    (outcome,) = train(config("total_steps=384", "log.every=1000000"))
    assert [line["step"] for line in metrics(outcome.directory)] == [384]


def test_a_long_interval_averages_every_update(config: Config, train: Train) -> None:
    """Folding within an interval must not lose updates: the mean over 600 is that of two halves of 300."""
    settings = ("env=gym", "env.id=CartPole-v1", "algo.n_envs=2", "algo.n_steps=2", "total_steps=2400")
    (whole,) = train(config(*settings, "log.every=2400"), name="whole")
    (halves,) = train(config(*settings, "log.every=1200"), name="halves")
    (line,) = metrics(whole.directory)
    first, second = metrics(halves.directory)
    for tag in ("losses/critic", "grad_norm/all/before_clip", "policy/entropy"):
        assert line[tag] == pytest.approx((first[tag] + second[tag]) / 2, rel=1e-6)


def test_divergence_is_reported_with_the_step_and_the_tag(config: Config, train: Train) -> None:
    (outcome,) = train(config("optim.algorithm=sgd", "optim.learning_rate=1e6", "clip=none", "arch.hidden_sizes=[]"))
    assert outcome.status is Status.DIVERGED
    assert outcome.error is not None
    assert re.search(r"is not finite at env step [\d,]+", outcome.error)
    assert "NaN" not in (outcome.directory / "metrics.jsonl").read_text()


def test_an_error_of_ours_is_loud_and_on_file(config: Config, train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Recorder, *args: object, **kwargs: object) -> None:
        raise RuntimeError("something of ours broke")

    monkeypatch.setattr(Recorder, "record", broken)
    (outcome,) = train(config("total_steps=400"))
    assert outcome.status is Status.FAILED
    assert "something of ours broke" in (outcome.error or "")
    assert "Traceback" in (outcome.directory / "error.log").read_text()
    assert json.loads((outcome.directory / "status.json").read_text())["status"] == "failed"


def test_a_recorder_without_episodes_has_no_return() -> None:
    nothing = Objective(
        Categorical(gym.spaces.Discrete(2)), Hyperparameters(entropy_coef=torch.zeros(1), value_coef=torch.zeros(1))
    )
    assert Recorder(nothing, [[]], 100, Silent()).recent_return() is None


def test_a_run_whose_last_words_cannot_be_written_has_failed(
    config: Config, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The status reports it: the files beside the events may well be written."""

    def broken(self: object, step: int, results: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("acexp.metrics.tensorboard.TensorBoardWriter.end", broken)
    (outcome,) = train(config("total_steps=64", "algo.n_envs=2"))
    assert outcome.status is Status.FAILED
    assert "Input/output error" in (outcome.error or "")
    told = json.loads((outcome.directory / "status.json").read_text())
    assert (told["status"], told["error"]) == ("failed", outcome.error)


LINES = ('{"step": 10, "x": 1.0}', '{"step": 20, "x": 2.0}')


@pytest.mark.parametrize(
    "broken", [b"\x00\xff\n", b"[1]\n", b"{}\n", b"\n"], ids=["bytes", "a list", "nothing", "empty"]
)
def test_a_line_that_cannot_be_read_is_named(tmp_path: Path, broken: bytes) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(LINES[0].encode() + b"\n" + broken + LINES[1].encode() + b"\n")
    for read in (read_series, lambda path: JsonlWriter(path, resume_at=20)):
        with pytest.raises(UserError, match=r"Line 2 of metrics\.jsonl cannot be read") as refusal:
            read(path)
        assert "restore the file from a copy" in str(refusal.value)


def test_every_number_is_read_as_it_was_written(tmp_path: Path) -> None:
    """To the last bit; and NaN, which the lines of early versions may hold."""
    bits = np.random.default_rng(0).integers(0, 2**64, 20_000, dtype=np.uint64).view(np.float64)
    values = [*bits[np.isfinite(bits)].tolist(), -0.0, 5e-324, 1.7976931348623157e308, math.nan, math.inf]
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(f"{json.dumps({'step': step, 'x': value})}\n" for step, value in enumerate(values)))
    found = read_series(path)["x"]
    assert found.steps.tolist() == list(range(len(values)))
    assert found.values.tobytes() == np.array(values).tobytes()
