"""What a real terminal shows, read from its screen: in neither of two sizes is anything cut or left behind."""

from __future__ import annotations

import io
import re
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from acexp.commands.screen import console_for_runs
from acexp.commands.sweep_view import SweepView
from acexp.metrics import PlainDisplay
from acexp.runs.outcome import Outcome
from acexp.runs.run_directory import Status
from acexp.sweeps.worker import Progress
from tests.helpers import in_terminal, screens

Acexp = Callable[..., subprocess.CompletedProcess[str]]

CUT = "\N{HORIZONTAL ELLIPSIS}"
SETTINGS = ("arch=separate,shared", "clip.max_norm=0.123456,5", "optim.algorithm=adam,rmsprop", "seed=0,1")
RUNS = [
    f"arch={arch},max_norm={bound},algorithm={algorithm},seed={seed}"
    for arch in ("separate", "shared")
    for bound in ("0.123456", "5")
    for algorithm in ("adam", "rmsprop")
    for seed in (0, 1)
]
CELLS = [
    f"arch={arch}, optim.algorithm={algorithm}, clip.max_norm={bound}"
    for arch in ("separate", "shared")
    for bound in ("0.123456", "5")
    for algorithm in ("adam", "rmsprop")
]
SIZES = [(100, 30), (60, 20)]


def unwrapped(text: str) -> str:
    """A text without its white space, so that a word is found which the terminal has wrapped."""
    return "".join(text.split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("terminal")


@pytest.fixture(scope="module", params=SIZES, ids=str)
def size(request: pytest.FixtureRequest) -> tuple[int, int]:
    size: tuple[int, int] = request.param
    return size


@pytest.fixture(scope="module")
def trained(folder: Path, size: tuple[int, int]) -> tuple[str, list[list[str]]]:
    """A sweep of 16 runs in four populations: its directory, and the screens while it trained."""
    name = f"columns{size[0]}"
    shown = screens(folder, "-m", *SETTINGS, "total_steps=24000", f"name={name}", columns=size[0], rows=size[1])
    return f"outputs/sweeps/{name}", shown


def test_a_single_run_shows_a_progress_bar(tmp_path: Path, size: tuple[int, int]) -> None:
    shown = ["\n".join(screen) for screen in screens(tmp_path, "total_steps=19200", columns=size[0], rows=size[1])]
    assert CUT not in "".join(shown)
    assert re.search(r"\n━+ 100% of 19,200 [\d,]+ steps/s return -\d+\.\d 0+:00\n", shown[-1])
    assert all(len(re.findall("[━╸╺]+", text)) <= 1 for text in shown)
    assert "run directory" in shown[-1]


def test_a_sweep_shows_one_live_table(trained: tuple[str, list[list[str]]], size: tuple[int, int]) -> None:
    shown = [[line for line in screen if not line.startswith("acexp: loading")] for screen in trained[1]]
    texts = ["\n".join(screen) for screen in shown]
    assert not any(CUT in text for text in texts)
    assert "16 runs: 16 waiting" in next(text for text in texts if "runs" in text), "something is shown at once"
    live = [text for text in texts if re.search(r"population +runs +steps +steps/s +return", text)]
    assert any(re.search(r"\d+% of 24,000", text) for text in live)
    assert all(text.count("16 runs: ") <= 1 and text.count("population ") <= 1 for text in texts)
    assert any(re.search(r"steps/s, [\d,]+\s+s\s+left", text) for text in live), "the headline is wrapped, not cut"
    assert "population " not in texts[-1], "the table goes when the sweep has ended"
    labels = [
        f"arch={arch},2xmax_norm,algorithm={name},2xseed"
        for arch in ("separate", "shared")
        for name in ("adam", "rmsprop")
    ]
    assert all(f"4done:{label}" in unwrapped(texts[-1]) for label in labels)


def test_the_live_table_is_drawn_by_the_thread_that_prints() -> None:
    """Two threads would move the cursor up by the heights that each knows, and leave old lines where they differ."""
    writers: set[int] = set()

    class Screen(io.StringIO):
        def write(self, text: str) -> int:
            writers.add(threading.get_ident())
            return super().write(text)

    screen = Screen()
    console = Console(file=screen, force_terminal=True, width=100)
    with SweepView(console, [["seed=0"], ["seed=1"]], [100, 100]) as view:
        assert "2 runs: 2 waiting" in screen.getvalue()
        view.began(0, [0])
        for _ in range(20):
            view.tick()
            time.sleep(0.05)
        view.ended(0, {0: Outcome(Path("run"), Status.DONE)})
        view.tick()
    assert writers == {threading.get_ident()}
    assert "1 running, 1 waiting" in screen.getvalue()


def test_speed_and_time_left_of_a_resumed_sweep_are_those_of_its_new_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seconds after two of three runs were resumed at 600 of 1,000 steps, each has trained 100 more."""
    clock = iter([0.0, 10.0, 10.0, 20.0, 20.0])
    monkeypatch.setattr("acexp.commands.sweep_view.time.perf_counter", lambda: next(clock))
    screen = io.StringIO()
    view = SweepView(Console(file=screen, width=100), [["seed=0"], ["seed=1"], ["seed=2"]], [1000, 1000, 1000])
    view.began(0, [0, 1])
    view.progressed(0, Progress(700, 20.0, None, first_step=600))
    view.tick()  # 200 steps in 10 s; 600 of the resumed runs and 1,000 of the third are left
    view.ended(0, {member: Outcome(Path("run"), Status.DONE, steps=1000) for member in (0, 1)})
    view.began(1, [2])
    view.progressed(1, Progress(200, 20.0, None))
    view.tick()  # 800 and 200 steps in 20 s, 800 are left
    first, second = (line for line in screen.getvalue().splitlines() if "s left" in line)
    assert first == "3 runs: 2 running, 1 waiting; 20 steps/s, 80 s left"
    assert second == "3 runs: 2 done, 1 running; 50 steps/s, 16 s left"


def test_time_left_of_a_resumed_run_is_that_of_its_new_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 10.0])
    monkeypatch.setattr("acexp.metrics.console.time.perf_counter", lambda: next(clock))
    screen = io.StringIO()
    display = PlainDisplay(Console(file=screen, width=100))
    display.start("run", 1000, first_step=600)
    display.update(700, 10.0, None)
    assert screen.getvalue().splitlines()[-1] == "run: 700/1,000 steps, 10 steps/s, return -, 30 s left"


def test_a_sweep_ends_with_its_answer(trained: tuple[str, list[list[str]]], size: tuple[int, int]) -> None:
    directory, shown = trained
    end = "\n".join(shown[-1])
    assert "On CliffWalking-v1, highest mean: arch=" in end
    assert all(unwrapped(cell) in unwrapped(end) for cell in CELLS)
    for command in ("eval", "report", "dashboard"):
        assert f"acexp {command} {directory}" in end


@pytest.mark.parametrize("command", [("status",), ("eval", "--episodes", "1")])
def test_the_runs_of_a_sweep(
    folder: Path, trained: tuple[str, list[list[str]]], size: tuple[int, int], command: tuple[str, ...]
) -> None:
    text = in_terminal(folder, *command, trained[0], columns=size[0])
    assert CUT not in text
    assert all(unwrapped(run) in unwrapped(text) for run in RUNS)
    assert text.count("24,000" if command == ("status",) else "-") >= len(RUNS)


def test_a_report(folder: Path, trained: tuple[str, list[list[str]]], size: tuple[int, int]) -> None:
    text = in_terminal(folder, "report", trained[0], columns=size[0])
    assert CUT not in text
    assert all(unwrapped(cell) in unwrapped(text) for cell in CELLS)
    assert f"{trained[0]}/report.html" in text


def test_the_list_of_runs_and_sweeps(
    acexp: Acexp, folder: Path, trained: tuple[str, list[list[str]]], size: tuple[int, int]
) -> None:
    """The terminal wraps long lines by itself, so that a directory can be copied whole."""
    text = in_terminal(folder, "status", columns=size[0])
    assert CUT not in text
    assert unwrapped("  ".join([trained[0], *SETTINGS])) in unwrapped(text)


def test_help_breaks_lines_between_words(folder: Path, size: tuple[int, int]) -> None:
    lines = in_terminal(folder, "help", columns=size[0]).splitlines()
    assert max(map(len, lines)) <= size[0]
    assert " ".join("\n".join(lines).split()) == " ".join(in_terminal(folder, "help", columns=200).split())


def test_output_keeps_to_the_encoding_of_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar of characters that a terminal's encoding does not have would end the run with an error."""
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert console_for_runs().encoding == "ascii"
