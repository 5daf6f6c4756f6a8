"""What is written: Markdown, CSV and the page."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import acexp as acexp_api
from acexp.core.errors import UserError
from acexp.core.numbers import number
from acexp.report import Question, answer, study, write
from acexp.report.aggregates import aggregate
from acexp.report.tables import NAMES, tables
from acexp.system.lock import locked
from tests.helpers import REPOSITORY, charts_of, start, wait_until
from tests.report.fabricate import fabricate

Acexp = Callable[..., subprocess.CompletedProcess[str]]


MOST_BYTES = 2_000_000
"""The size of a page that can be sent by mail."""


def contents(directory: Path) -> dict[str, bytes]:
    files = [directory / "report.html", directory / "report.md", *sorted((directory / "report").glob("*.csv"))]
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def grid(directory: Path, n_seeds: int = 6) -> None:
    for seed in range(n_seeds):
        for arch, score in (("separate", 10.0), ("shared", 20.0)):
            fabricate(directory / f"{arch}{seed}", score + seed, seed, arch__name=arch)


def test_markdown_says_n_intervals_and_iqm(tmp_path: Path) -> None:
    grid(tmp_path)
    write(tmp_path, study(tmp_path, Question()))
    text = (tmp_path / "report.md").read_text()
    assert "12 runs: 12 done." in text
    assert "arch=shared beats arch=separate by 10.0 [10.0, 10.0], P = 1.00, n = 6." in text
    (row,) = re.findall(r"\| Toy-v0 \| arch=separate \| n = 6 \| (.*) \|", text.partition("## Comparisons")[0])
    mean, median, iqm, *_ = row.split(" | ")
    for cell in (mean, median, iqm):
        assert re.fullmatch(r"12\.5 \[1\d\.\d, 1\d\.\d\]", cell)
    assert "| environment | experiment | n | mean | median | IQM |" in text
    assert "acexp report" in text


def test_csv_files_have_all_digits(tmp_path: Path) -> None:
    for seed, name in enumerate("abc"):
        fabricate(tmp_path / name, (seed + 1) / 3, seed)
    write(tmp_path, study(tmp_path, Question()))
    runs = rows(tmp_path / "report" / "runs.csv")
    assert [float(row["score"]) for row in runs] == [1 / 3, 2 / 3, 1.0]
    assert [row["directory"] for row in runs] == ["a", "b", "c"]
    (result,) = rows(tmp_path / "report" / "results.csv")
    assert float(result["mean"]) == pytest.approx(2 / 3, abs=1e-15)
    # The deviation is 1/3, and t with 2 degrees of freedom 4.3026527.
    assert float(result["mean low"]) == pytest.approx(2 / 3 - 4.3026527 / 3 / 3**0.5, abs=1e-7)
    assert float(result["mean high"]) == pytest.approx(2 / 3 + 4.3026527 / 3 / 3**0.5, abs=1e-7)
    assert result["median low"] == ""


def test_the_same_runs_give_the_same_bytes(tmp_path: Path) -> None:
    """In another process, in which hashes of strings are others, and after a first report has been written."""
    grid(tmp_path)
    program = "import sys; from acexp.__main__ import main; sys.exit(main(['report', '.']))"
    found = []
    for seed in ("1", "2"):
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONHASHSEED": seed},
            check=True,
        )
        found.append(contents(tmp_path))
    assert found[0] == found[1]


def test_files_that_a_report_no_longer_has_go(tmp_path: Path) -> None:
    grid(tmp_path / "runs", 2)
    write(tmp_path, study(tmp_path / "runs", Question()))
    assert (tmp_path / "report" / "comparisons.csv").exists()
    fabricate(tmp_path / "one" / "a", 1.0)
    write(tmp_path, study(tmp_path / "one", Question()))
    assert not (tmp_path / "report" / "comparisons.csv").exists()


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    """A folder of the same name, a table, or a run that acexp did not write; without runs, nothing changes at all."""
    strangers = [tmp_path / "report" / "mine.csv", tmp_path / "aggregates" / "notes.txt"]
    strangers.append(tmp_path / "aggregates" / "old" / "thesis.txt")
    for path in strangers:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("dear to me")
    with pytest.raises(UserError):
        aggregate(tmp_path)
    grid(tmp_path, 2)
    fabricate(tmp_path / "aggregates" / "run", 1.0, 7)
    (tmp_path / "aggregates" / "run" / "events.out.tfevents.1").write_text("a run's")
    write(tmp_path, study(tmp_path, Question()))
    for _ in range(2):
        made = aggregate(tmp_path)
        assert [len(list(path.glob("events.out.tfevents.*"))) for path in made] == [1, 1]
    assert all(path.read_text() == "dear to me" for path in strangers)
    assert (tmp_path / "aggregates" / "run" / "events.out.tfevents.1").exists()


def test_the_names_of_tables_are_known(tmp_path: Path) -> None:
    """By which files of an earlier report are recognized."""
    for seed in range(2):
        for environment in ("A-v0", "B-v0"):
            for arch in ("separate", "shared"):
                for norm in (0.1, 5.0):
                    name = f"{environment}{arch}{norm}{seed}"
                    settings = {"env__id": environment, "arch__name": arch, "clip__max_norm": norm}
                    fabricate(tmp_path / name, norm, seed, **settings)
    fabricate(tmp_path / "failed", None, 3, status="failed", env__id="A-v0")
    trial = {"number": 0, "state": "complete", "params": {"clip.max_norm": 0.1}, "value": 1.0, "rungs": {}}
    search = {"study": "s", "sampler": "tpe", "pruner": "none", "best": 0, "importances": {"clip.max_norm": 1.0}}
    (tmp_path / "search.json").write_text(json.dumps(search | {"trials": [trial]}))
    assert tuple(table.name for table in tables(study(tmp_path, Question()))) == NAMES


def test_a_name_cannot_break_the_page(tmp_path: Path) -> None:
    for i, name in enumerate(("</script><script>alert(1)</script>", "<b>&amp;|")):
        fabricate(tmp_path / f"r{i}", 1.0, env__id=name, status=f"failed: {name}")
        fabricate(tmp_path / f"d{i}", 1.0, 1, env__id=name)
    write(tmp_path, study(tmp_path, Question()))
    html = (tmp_path / "report.html").read_text()
    assert "<script>alert" not in html
    assert "<b>&amp;|" not in html
    assert html.count("</script>") == 3
    assert all(chart["data"] for chart in charts_of(tmp_path / "report.html"))
    assert "<b>&amp;\\|" in (tmp_path / "report.md").read_text()


@pytest.mark.parametrize(
    "kind", ["one seed", "one cell", "unequal steps", "failed runs", "nothing finished", "no curve"]
)
def test_poor_sweeps_have_reports_too(tmp_path: Path, kind: str) -> None:
    match kind:
        case "one seed":
            fabricate(tmp_path / "a", 1.0)
            fabricate(tmp_path / "b", 2.0, arch__name="shared")
        case "one cell":
            for seed in range(3):
                fabricate(tmp_path / f"a{seed}", float(seed), seed)
        case "unequal steps":
            for seed in range(3):
                fabricate(tmp_path / f"a{seed}", float(seed), seed, total_steps=100 + 37 * seed)
        case "failed runs":
            fabricate(tmp_path / "a", 1.0, 0)
            fabricate(tmp_path / "b", None, 1, status="failed: it broke")
            fabricate(tmp_path / "c", None, 2, status="diverged")
        case "nothing finished":
            fabricate(tmp_path / "a", None, 0, status="failed")
            fabricate(tmp_path / "b", None, 0, status="interrupted", arch__name="shared")
        case "no curve":
            fabricate(tmp_path / "a", None, 0, curve=())
            fabricate(tmp_path / "b", 3.0, 1)
    files = write(tmp_path, study(tmp_path, Question()))
    assert all(path.stat().st_size for path in files)
    text = (tmp_path / "report.md").read_text()
    assert "nan" not in text.lower()
    if kind == "failed runs":
        assert "n = 1 of 3" in text
        assert "| b | failed | 400 | it broke |" in text
    if kind == "one seed":
        assert "one seed cannot tell" in text


def test_five_hundred_runs(tmp_path: Path) -> None:
    """2 x 2 x 5 x 25 of them, with 1,000 lines each; every one is in the tables and behind the curves."""
    rng = np.random.default_rng(0)
    for i in range(500):
        fabricate(
            tmp_path / f"r{i:03}",
            float(rng.normal()),
            i % 25,
            curve=rng.normal(size=1000).cumsum().round(3).tolist(),
            total_steps=100_000,
            arch__name=("separate", "shared")[i // 25 % 2],
            optim__name=("single", "dual")[i // 50 % 2],
            clip__max_norm=(0.1, 0.5, 1.0, 5.0, 10.0)[i // 100],
        )
    found = study(tmp_path, Question(baseline="arch=separate"))
    write(tmp_path, found)
    assert len(found.grid.cells) == 20
    assert len(found.comparisons) == 10
    assert len(rows(tmp_path / "report" / "runs.csv")) == 500
    assert (tmp_path / "report.html").stat().st_size < MOST_BYTES


def test_from_a_real_sweep(acexp: Acexp, tmp_path: Path) -> None:
    """Trained, evaluated and reported by the commands of the README; the trunk's cosine is in it."""
    sweep = [
        "-m",
        "env=gym",
        "env.id=CartPole-v1",
        "arch=separate,shared",
        "seed=range(3)",
        "total_steps=4000",
        "name=s",
    ]
    assert acexp(*sweep).returncode == 0
    assert acexp("eval", "outputs/sweeps/s", "--episodes", "4").returncode == 0
    result = acexp("report", "outputs/sweeps/s", "--baseline", "arch=shared")
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert "On CartPole-v1," in result.stdout
    assert "outputs/sweeps/s/report.html" in result.stdout
    text = (tmp_path / "outputs" / "sweeps" / "s" / "report.md").read_text()
    assert "evaluation (4 episodes, most likely actions)" in text
    assert text.count("n = 3") >= 3
    assert "acexp -m env=gym env.id=CartPole-v1" in text
    html = (tmp_path / "outputs" / "sweeps" / "s" / "report.html").read_text()
    assert "The shared trunk" in html


def test_a_report_that_cannot_be_asked_for(acexp: Acexp, tmp_path: Path) -> None:
    grid(tmp_path, 2)
    for arguments, told in (
        (("nowhere",), "no run directory"),
        ((".", "--baseline", "arch=both"), "No run has arch=both"),
        ((".", "--metric", "retrun"), "has such a metric"),
        ((".", "--threshold", "high"), "--threshold"),
        ((".", "--threshold", "nan"), "This is no number."),
        ((".", "--threshold=-inf"), "This is no number."),
        ((".", "--watch", "soon"), "This is no number of at least 1."),
        ((".", "--watch", "0"), "This is no number of at least 1."),
        ((".", "nowhere"), "no run directory"),
        ((".", "--out", "/proc/nothing"), "cannot be written"),
    ):
        result = acexp("report", *arguments)
        assert result.returncode == 2, arguments
        assert told in result.stderr
        assert "Traceback" not in result.stderr
        assert result.stderr.startswith("acexp: "), "a message of our own, without argparse's usage"


def test_the_answer_is_the_same_everywhere(acexp: Acexp, tmp_path: Path) -> None:
    """On the page, in Markdown and on screen; with the table, for one experiment and for two environments too."""
    for kind, settings in (("cells", {"arch__name": "shared"}), ("environments", {"env__id": "Other-v0"}), ("one", {})):
        for seed in range(3):
            fabricate(tmp_path / kind / f"a{seed}", float(seed), seed)
            fabricate(tmp_path / kind / f"b{seed}", 10.0 + seed, seed, **settings)
        sentence = answer(study(tmp_path / kind, Question()))
        result = acexp("report", kind)
        assert result.returncode == 0, result.stderr
        lines = result.stdout.splitlines()
        assert lines[0] == sentence
        assert lines[1].split()[:2] == (
            ["environment", "experiment"] if kind == "environments" else ["experiment", "mean"]
        )
        assert len([line for line in lines if "n = 3" in line and "[" in line]) >= (1 if kind == "one" else 2)
        html = (tmp_path / kind / "report.html").read_text()
        assert f"<h1>{sentence}</h1>" in html
        assert sentence in (tmp_path / kind / "report.md").read_text()
        assert "the only one" not in result.stdout + html


def test_a_report_of_several_folders(acexp: Acexp, tmp_path: Path) -> None:
    """It lies beside them in a folder of its own, so that the report of none of them is overwritten."""
    for i, folder in enumerate(("one", "two")):
        for seed in range(3 * i, 3 * i + 3):
            fabricate(tmp_path / folder / str(seed), float(seed), seed)
    assert acexp("report", "one").returncode == 0
    before = contents(tmp_path / "one")
    result = acexp("report", "one", "two")
    assert result.returncode == 0, result.stderr
    assert "(n = 6)" in result.stdout
    assert "report-one+two/report.html" in result.stdout
    assert contents(tmp_path / "one") == before
    assert not (tmp_path / "report.html").exists()
    assert len(rows(tmp_path / "report-one+two" / "report" / "runs.csv")) == 6
    assert acexp("report", "one", "two", "--out", "here").returncode == 0
    assert (tmp_path / "here" / "report.html").exists()


def test_a_sweep_is_watched(tmp_path: Path) -> None:
    """The page is written anew while runs train, and follows; when all are over it stays as it is."""
    fabricate(tmp_path / "a", 1.0, 0)
    fabricate(tmp_path / "b", None, 1, curve=(5.0, 6.0), status="running")
    content = json.loads((tmp_path / "b" / "status.json").read_text())
    content.pop("steps")
    (tmp_path / "b" / "status.json").write_text(json.dumps(content))
    page = tmp_path / "report.html"
    with locked(tmp_path / "b"):  # or it would be a run that was killed
        watching = start(tmp_path, "report", ".", "--watch", "1")
        wait_until(page.exists, watching)
        first = page.read_bytes()
        assert b'<body data-watch="1">' in first
        assert b"in training, so far" in first
        assert "seed 1, in training" in str(charts_of(page))
        fabricate(tmp_path / "c", 2.0, 2)
        wait_until(lambda: page.read_bytes() != first, watching)
        assert watching.poll() is None
    output, _ = watching.communicate(timeout=60)  # nobody trains the run any more
    assert watching.returncode == 0, output
    assert b"data-watch" not in page.read_bytes()
    assert "On Toy-v0, mean: 1.50" in output


def test_watching_ends_with_ctrl_c(tmp_path: Path) -> None:
    fabricate(tmp_path / "a", 1.0, 0)
    (tmp_path / "sweep.json").write_text(json.dumps({"runs": ["a", "b"], "arguments": ["-m"], "folder": "/"}))
    page = tmp_path / "report.html"
    watching = start(tmp_path, "report", ".", "--watch", "60")
    wait_until(page.exists, watching)
    time.sleep(1.0)
    watching.send_signal(signal.SIGINT)
    output, _ = watching.communicate(timeout=60)
    assert watching.returncode == 0, output
    assert "Traceback" not in output
    assert b"data-watch" not in page.read_bytes()


@pytest.mark.parametrize(
    ("x", "told"),
    [(0.0, "0"), (1234.5, "1,234"), (-21.04, "-21.0"), (0.5, "0.50"), (0.0123, "0.012"), (0.00012, "1.2e-04")],
)
def test_numbers_as_people_read_them(x: float, told: str) -> None:
    assert number(x) == told


def test_runs_as_a_table(tmp_path: Path) -> None:
    for seed in range(2):
        for norm in (0.5, 10.0):
            fabricate(tmp_path / f"{norm}-{seed}", norm + seed, seed, curve=(1.0, 2.0), clip__max_norm=norm)
    fabricate(tmp_path / "failed", None, 2, curve=(7.0,), status="failed")
    table = acexp_api.read(tmp_path)
    assert list(table["clip.max_norm"]) == [0.5, 0.5, 0.5, 10.0, 10.0]
    assert table.groupby("clip.max_norm")["training"].mean().to_dict() == {0.5: 1.0, 10.0: 10.5}
    assert table["evaluation"].isna().all()
    assert list(table["status"]) == ["done", "done", "failed", "done", "done"]
    assert Path(table["directory"][0]) == tmp_path / "0.5-0"
    logged = acexp_api.read_metrics(tmp_path, "charts/episode_return")
    assert list(logged.columns) == [
        "environment",
        "clip.max_norm",
        "experiment",
        "seed",
        "step",
        "charts/episode_return",
    ]
    assert len(logged) == 9
    assert logged[logged["step"] == 400].groupby("clip.max_norm")["charts/episode_return"].mean()[10.0] == 2.0
    (tmp_path / "failed" / "metrics.jsonl").write_text("{")
    with pytest.warns(UserWarning, match="failed cannot be read and is left out"):
        assert len(acexp_api.read(tmp_path)) == 4
    (tmp_path / "failed" / "metrics.jsonl").write_text("")
    with pytest.raises(UserError, match="No run has such a metric"):
        acexp_api.read_metrics(tmp_path, "nothing")


def test_tables_without_pandas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("acexp.system.packages.is_installed", lambda package: False)
    with pytest.raises(UserError, match="need pandas") as error:
        acexp_api.read(tmp_path)
    assert "acexp[notebook]" in str(error.value)


@pytest.mark.parametrize("place", [("--port", "taken"), ("--host", "192.0.2.1")])
def test_a_dashboard_that_cannot_start(acexp: Acexp, tmp_path: Path, place: tuple[str, str]) -> None:
    fabricate(tmp_path / "a", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        option, value = place
        result = acexp("dashboard", ".", option, value.replace("taken", str(server.getsockname()[1])))
    assert result.returncode == 2
    assert "TensorBoard cannot be started" in result.stderr
    assert len(result.stderr.splitlines()[0]) > len("acexp: TensorBoard cannot be started: .")
    assert "Traceback" not in result.stderr
