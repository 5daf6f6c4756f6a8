"""Weights & Biases and MLflow, the real packages, without a network; both are extras."""

from __future__ import annotations

import json
import socket
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from acexp.config import RunConfig
from acexp.core.stopping import never
from acexp.runs import runner
from acexp.runs.run import Run, TrainOptions
from acexp.runs.run_directory import Status
from acexp.runs.writers import add_to_logs
from tests.helpers import metrics, start
from tests.runs.test_evaluation import Asked

Config = Callable[..., RunConfig]

SMALL = ("env=cliffwalking", "total_steps=800", "log.every=200", "algo.n_envs=4", "algo.n_steps=5")
FINAL = "final/mean_return_last_100"

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
)


def train_in_two_parts(config: Config, folder: Path, name: str, look: Callable[[Status], None]) -> list[Run]:
    """A population of two runs of a sweep, interrupted and resumed once, and an evaluation of the first.

    `look` is called after each part, with the status that it ended with.
    """
    runs = [
        Run(config(*SMALL, f"log.writers=[{name}]", f"seed={seed}"), folder / "first" / f"seed={seed}", ("seed",))
        for seed in range(2)
    ]
    for options, stopped, status in (
        (TrainOptions(), Asked(20), Status.INTERRUPTED),
        (TrainOptions(resume=True), never, Status.DONE),
    ):
        outcomes = runner.train(runs, options, should_stop=stopped)
        assert [(outcome.status, outcome.notes) for outcome in outcomes] == [(status, ())] * 2
        look(status)
    add_to_logs(runs[0], 800, {"eval/return_mean": -13.0}, pytest.fail)
    return runs


def test_mlflow_has_each_run_of_a_population_once(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.chdir(tmp_path)
    client = mlflow.MlflowClient()

    def find() -> dict[str, Any]:
        experiment = client.get_experiment_by_name("first")
        return {each.info.run_name: each for each in client.search_runs([experiment.experiment_id])}

    def look(status: Status) -> None:
        shown = "FINISHED" if status is Status.DONE else "KILLED"
        assert [each.info.status for each in find().values()] == [shown] * 2

    runs = train_in_two_parts(config, tmp_path, "mlflow", look)
    found = find()
    assert sorted(found) == ["seed=0", "seed=1"], "a resumed run is the same run"
    for run in runs:
        each = found[run.directory.name]
        assert each.info.status == "FINISHED"
        assert each.data.params["seed"] == str(run.config.seed)
        assert each.data.params["env.id"] == "CliffWalking-v1"
        assert f"seed={run.config.seed}" in each.data.tags["acexp.group"]
        history = client.get_metric_history(each.info.run_id, "losses/critic")
        logged = [(line["step"], line["losses/critic"]) for line in metrics(run.directory)]
        assert sorted((point.step, point.value) for point in history) == logged, "each step once"
        assert FINAL in each.data.metrics
    assert found["seed=0"].data.metrics["eval/return_mean"] == -13.0


def written(content: bytes) -> Iterator[bytes]:
    """The records of a .wandb file: after a header of 7 bytes, the blocks of LevelDB's log format."""
    position, record = 7, b""
    while position + 7 <= len(content):
        left = 32768 - position % 32768
        if left < 7:
            position += left
            continue
        length, kind = int.from_bytes(content[position + 4 : position + 6], "little"), content[position + 6]
        record += content[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield record
            record = b""


@dataclass
class Shown:
    """What W&B keeps of a run in the files that its offline mode writes, one for each time that it was opened."""

    n_files: int = 0
    ids: set[str] = field(default_factory=set)
    places: set[tuple[str, str]] = field(default_factory=set)
    groups: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    points: dict[int, set[float]] = field(default_factory=lambda: defaultdict(set))
    summary: dict[str, Any] = field(default_factory=dict)
    exit_codes: list[int] = field(default_factory=list)


def name_of(item: Any) -> str:
    return item.key or "/".join(item.nested_key)


def shown_by_wandb(directory: Path) -> Shown:
    from wandb.proto import wandb_internal_pb2

    shown = Shown()
    for path in sorted(directory.glob("wandb/offline-run-*/*.wandb")):
        shown.n_files += 1
        for data in written(path.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            if record.HasField("run"):
                shown.ids.add(record.run.run_id)
                shown.places.add((record.run.project, record.run.display_name))
                shown.groups += [record.run.run_group] if record.run.run_group else []
                shown.config |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
            if record.HasField("exit"):
                shown.exit_codes.append(record.exit.exit_code)
            if record.HasField("history"):
                line = {name_of(item): json.loads(item.value_json) for item in record.history.item}
                if "losses/critic" in line:
                    shown.points[line["env_step"]].add(line["losses/critic"])
            if record.HasField("summary"):
                shown.summary |= {name_of(item): json.loads(item.value_json) for item in record.summary.update}
    return shown


def test_wandb_has_each_run_of_a_population_offline(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    for run in train_in_two_parts(config, tmp_path, "wandb", lambda status: None):
        shown = shown_by_wandb(run.directory)
        assert shown.n_files == (3 if run.config.seed == 0 else 2), "begun, resumed and evaluated"
        assert len(shown.ids) == 1, "the id is kept over a resume"
        assert shown.places == {("first", run.directory.name)}
        assert [f"seed={run.config.seed}" in group for group in shown.groups] == [True], "given once, at the beginning"
        assert shown.points == {line["step"]: {line["losses/critic"]} for line in metrics(run.directory)}
        assert FINAL in shown.summary
        assert shown.exit_codes == [255, 0, 0][: shown.n_files], "killed, then finished"


@pytest.mark.parametrize("answers", ["refuses", "never answers"])
def test_a_server_that_cannot_be_reached_costs_a_warning(tmp_path: Path, answers: str) -> None:
    """With the packages' own patience, which is minutes: neither training nor the end of the process waits for it."""
    for name in ("mlflow", "wandb"):
        pytest.importorskip(name)
    with socket.create_server(("127.0.0.1", 0)) as server:  # connections are made, and nobody accepts them
        url = "http://127.0.0.1:{}".format(9 if answers == "refuses" else server.getsockname()[1])
        process = start(
            tmp_path,
            *SMALL,
            "log.writers=[mlflow,wandb]",
            MLFLOW_TRACKING_URI=url,
            WANDB_BASE_URL=url,
            WANDB_API_KEY="0" * 40,
        )
        printed = process.communicate(timeout=100)[0]
    assert process.returncode == 0, printed
    for name in ("mlflow", "wandb"):
        assert f"log.writers: {name} misses values of this run, which metrics.jsonl has" in printed
    (run,) = tmp_path.glob("outputs/cliffwalking/*")
    assert [line["step"] for line in metrics(run)] == [200, 400, 600, 800]
    assert json.loads((run / "status.json").read_text())["status"] == "done"
