"""Writers by name: those of plugins too, at the end of a run, over a resume, and after it."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from acexp.config import RunConfig, identity
from acexp.core.errors import UserError
from acexp.metrics import WRITERS, Experiment, Writer, remote, require_writers
from acexp.runs import runner
from acexp.runs.outcome import Outcome
from acexp.runs.run import Run, TrainOptions
from acexp.runs.run_directory import Status
from acexp.runs.writers import add_to_logs
from acexp.system.packages import Package
from tests.helpers import metrics

Acexp = Callable[..., subprocess.CompletedProcess[str]]
Config = Callable[..., RunConfig]
Train = Callable[..., list[Outcome]]

SMALL = ("env=cliffwalking", "total_steps=800", "log.every=200", "algo.n_envs=4", "algo.n_steps=5")
EVENTS = "events.out.tfevents.*"


class Kept(Writer):
    """Keeps what it is given."""

    opened: list[Experiment]
    lines: list[tuple[str, int, dict[str, float]]]
    ends: list[tuple[str, int, dict[str, float]]]
    closed: list[str]

    def __init__(self, experiment: Experiment) -> None:
        self.name = experiment.name
        self.opened.append(experiment)

    def write(self, step: int, scalars: Mapping[str, float], timings: Mapping[str, float]) -> None:
        self.lines.append((self.name, step, dict(scalars)))

    def end(self, step: int, results: Mapping[str, float]) -> None:
        self.ends.append((self.name, step, dict(results)))

    def close(self) -> None:
        self.closed.append(self.name)


@pytest.fixture
def register() -> Iterator[Callable[[str, type[Writer]], None]]:
    """Registers writers until the test ends."""
    before = dict(WRITERS._entries)
    yield lambda name, cls: WRITERS.register(name)(cls) and None
    WRITERS._entries.clear()
    WRITERS._entries.update(before)


@pytest.fixture
def kept(register: Callable[[str, type[Writer]], None]) -> type[Kept]:
    class Fresh(Kept):
        opened, lines, ends, closed = [], [], [], []

    register("kept", Fresh)
    return Fresh


def test_a_writer_gets_what_metrics_jsonl_has_and_no_other_is_opened(
    config: Config, train: Train, kept: type[Kept]
) -> None:
    outcomes = train(*(config(*SMALL, "log.writers=[kept]", f"seed={seed}") for seed in range(2)))
    for outcome in outcomes:
        name = outcome.directory.name
        lines = [{"step": step, **scalars} for given, step, scalars in kept.lines if given == name]
        assert lines == metrics(outcome.directory)
        assert not list(outcome.directory.glob(EVENTS))
        assert outcome.mean_return is not None
    assert kept.ends == [
        (outcome.directory.name, 800, {"final/mean_return_last_100": outcome.mean_return}) for outcome in outcomes
    ]
    assert sorted(kept.closed) == ["run0", "run1"]


def test_no_writer_at_all_leaves_metrics_jsonl(config: Config, train: Train) -> None:
    (with_none,) = train(config(*SMALL, "log.writers=[]"), name="none")
    (usual,) = train(config(*SMALL), name="usual")
    assert metrics(with_none.directory) == metrics(usual.directory)
    assert not list(with_none.directory.glob(EVENTS))
    assert list(usual.directory.glob(EVENTS))


def test_where_a_run_is_logged_is_no_part_of_what_it_is(config: Config) -> None:
    assert identity(config(*SMALL)) == identity(config(*SMALL, "log.writers=[]"))


def test_a_run_is_described_with_one_id_whenever_it_is_opened(config: Config, tmp_path: Path, kept: type[Kept]) -> None:
    run = Run(config(*SMALL, "log.writers=[kept]"), tmp_path / "sweep" / "seed=0", ("seed",))
    runner.train([run], TrainOptions(until=400))
    runner.train([run], TrainOptions(resume=True))
    add_to_logs(run, 800, {"eval/return_mean": -13.0}, pytest.fail)
    first, *_ = kept.opened
    assert len({each.id for each in kept.opened}) == 1
    assert [(each.name, each.sweep) for each in kept.opened] == [("seed=0", "sweep")] * 3
    assert [(each.is_new, each.resume_at, each.is_over) for each in kept.opened] == [
        (True, None, False),
        (False, 400, False),
        (False, None, True),
    ]
    assert first.varying == {"seed": 0}
    assert first.settings["env.id"] == "CliffWalking-v1"
    assert kept.lines[-1] == ("seed=0", 800, {"eval/return_mean": -13.0})
    assert "eval/return_mean" not in metrics(run.directory)[-1], "the log of training is as it was"
    other = Run(config(*SMALL, "log.writers=[kept]"), tmp_path / "other" / "seed=0", ("seed",))
    runner.train([other])
    assert kept.opened[-1].id != first.id


def test_an_evaluation_goes_through_the_writers_of_the_run(acexp: Acexp, tmp_path: Path) -> None:
    (tmp_path / "my_writer.py").write_text(
        "import json\n"
        "from acexp.metrics import WRITERS, Writer\n"
        "@WRITERS.register('lines')\n"
        "class Lines(Writer):\n"
        "    'Lines of JSON.'\n"
        "    def __init__(self, experiment):\n"
        "        self.path = experiment.directory / 'lines.jsonl'\n"
        "    def write(self, step, scalars, timings):\n"
        "        with self.path.open('a') as file:\n"
        "            file.write(json.dumps({'step': step, **scalars}) + chr(10))\n"
    )
    mine = ("plugins=[my_writer]", "log.writers=[lines]")
    result = acexp("-m", *SMALL, *mine, "seed=0,1", "name=sweep")
    assert result.returncode == 0, result.stdout + result.stderr
    run = tmp_path / "outputs" / "sweeps" / "sweep" / "seed=1"
    assert acexp("eval", str(run), "--episodes", "3", "--allow-plugins").returncode == 0
    *lines, last = map(json.loads, (run / "lines.jsonl").read_text().splitlines())
    assert lines == metrics(run)
    assert (last["step"], last["eval/episodes"]) == (800, 3)
    assert not list(run.glob(EVENTS))


def test_an_evaluation_is_added_to_the_events_of_training(config: Config, train: Train) -> None:
    (outcome,) = train(config(*SMALL))
    add_to_logs(Run(config(*SMALL), outcome.directory), 400, {"best/return_mean": -13.0}, pytest.fail)
    events = EventAccumulator(str(outcome.directory)).Reload()
    assert [(event.step, event.value) for event in events.Scalars("best/return_mean")] == [(400, -13.0)]
    assert [event.step for event in events.Scalars("losses/critic")] == [200, 400, 600, 800], "none is discarded"


@pytest.mark.parametrize("broken", ["open", "write", "end"])
def test_a_server_that_cannot_be_reached_costs_a_warning(
    config: Config, train: Train, register: Callable[[str, type[Writer]], None], kept: type[Kept], broken: str
) -> None:
    def fail() -> None:
        raise ConnectionError("no route\nto host")

    class Unreachable(Writer):
        is_remote = True

        def __init__(self, experiment: Experiment) -> None:
            if broken == "open":
                fail()

        def write(self, step: int, scalars: Mapping[str, float], timings: Mapping[str, float]) -> None:
            if broken == "write":
                fail()

        def end(self, step: int, results: Mapping[str, float]) -> None:
            if broken == "end":
                fail()

    register("unreachable", Unreachable)
    outcomes = train(*(config(*SMALL, "log.writers=[unreachable,kept]", f"seed={seed}") for seed in range(2)))
    for outcome in outcomes:
        assert outcome.status is Status.DONE
        (note,) = outcome.notes
        assert note == (
            "log.writers: unreachable misses values of this run, which metrics.jsonl has: "
            "ConnectionError: no route to host"
        )
        assert metrics(outcome.directory)[-1]["step"] == 800
    assert len(kept.ends) == 2, "the other writer has everything"


def test_a_server_that_never_answers_does_not_keep_a_run_from_ending(
    config: Config,
    train: Train,
    register: Callable[[str, type[Writer]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    released = threading.Event()

    class Hanging(Writer):
        is_remote = True

        def __init__(self, experiment: Experiment) -> None:
            released.wait(60)

    register("hanging", Hanging)
    monkeypatch.setattr(remote, "SECONDS", 0.1)
    outcomes = train(*(config(*SMALL, "log.writers=[hanging]", f"seed={seed}") for seed in range(2)))
    released.set()
    for outcome in outcomes:
        assert outcome.status is Status.DONE
        assert "has not answered" in outcome.notes[0]


def test_a_server_that_is_slower_than_training_does_not_fill_the_memory(
    monkeypatch: pytest.MonkeyPatch, kept: type[Kept]
) -> None:
    monkeypatch.setattr(remote, "MOST_WAITING", 3)
    released, warnings = threading.Event(), []
    thread = remote.RemoteThread()

    def open_writer() -> Writer:
        released.wait(60)
        return Writer()

    writer = remote.RemoteWriter("slow", open_writer, thread, warnings.append)
    for step in range(10):
        writer.write(step, {}, {})
    released.set()
    (warning,) = warnings
    assert "3 of its calls are waiting" in warning
    writer.close()
    thread.close()


def test_what_a_writer_needs_is_named_before_anything_is_written(
    acexp: Acexp, tmp_path: Path, register: Callable[[str, type[Writer]], None]
) -> None:
    class Needy(Writer):
        packages = (Package("no_such_package", "a test", "pip install no_such_package"),)

    register("needy", Needy)
    with pytest.raises(UserError, match="needs no_such_package, which is not installed") as refusal:
        require_writers(["tensorboard", "needy"])
    assert (refusal.value.key, refusal.value.remedy) == ("log.writers", "pip install no_such_package")
    (tmp_path / "needy.py").write_text(
        "from acexp.metrics import WRITERS, Writer\n"
        "from acexp.system.packages import Package\n"
        "@WRITERS.register('needy')\n"
        "class Needy(Writer):\n"
        "    packages = (Package('no_such_package', 'a test', 'pip install it'),)\n"
    )
    for arguments in ((), ("-m", "seed=0,1")):
        result = acexp(*arguments, *SMALL, "plugins=[needy]", "log.writers=[needy]")
        assert result.returncode == 2, result.stdout
        assert "pip install it" in result.stderr
        assert "command line: log.writers=[needy]" in result.stderr
    assert not list(tmp_path.glob("outputs/**/*"))


@pytest.mark.parametrize(
    ("given", "problem"),
    [("[tensorbord]", "no writer called 'tensorbord'"), ("[tensorboard,tensorboard]", "named once")],
)
def test_mistakes_in_the_names(config: Config, given: str, problem: str) -> None:
    with pytest.raises(UserError, match=problem) as refusal:
        config(f"log.writers={given}")
    assert refusal.value.key == "log.writers"


def test_writers_are_listed_and_inspected(acexp: Acexp) -> None:
    assert "log.writers=[tensorboard]" in acexp("list", "log.writers").stdout
    assert "log.writers=[tensorboard]" in acexp("list").stdout
    given = ("log.info=[is_success]", "engine=gymnasium", "eval.every=1000", "eval.keep_best=true")
    shown = acexp("inspect", *given).stdout
    assert "metrics.jsonl, tensorboard" in shown
    assert "is_success of the last step of an episode" in shown
    assert "10 episodes every 1,000 env steps, which keep the best policy" in shown


def test_only_what_was_written_is_suggested_at_the_end(acexp: Acexp) -> None:
    result = acexp(*SMALL, "log.writers=[]")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "done: 800 env steps" in result.stdout
    assert "tensorboard" not in result.stdout


def test_a_writer_receives_how_the_run_ended(
    config: Config, tmp_path: Path, register: Callable[[str, type[Writer]], None]
) -> None:
    received: list[str] = []

    class Ended(Writer):
        def __init__(self, experiment: Experiment) -> None:
            pass

        def set_status(self, status: str) -> None:
            received.append(status)

        def close(self) -> None:
            received.append("closed")

    register("ended", Ended)
    run = Run(config(*SMALL, "log.writers=[ended]"), tmp_path / "run")
    runner.train([run], should_stop=lambda: True)
    runner.train([run], TrainOptions(resume=True))
    assert received == ["interrupted", "closed", "done", "closed"]
