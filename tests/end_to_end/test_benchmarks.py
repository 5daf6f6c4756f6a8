"""The benchmarks behind docs/performance.md: the pages say what was measured, and the work is what its name says."""

from __future__ import annotations

import importlib
import importlib.util
import itertools
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from acexp.algorithm.assembly import resolve
from acexp.config.application import compose
from acexp.report import Question, study
from tests.helpers import REPOSITORY
from tests.report.fabricate import fabricate

FOLDER = REPOSITORY / "benchmarks"


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """A module of the folder; those of studies/ have other names, except for the page."""
    monkeypatch.syspath_prepend(FOLDER)

    def load(name: str) -> ModuleType:
        if name != "page":
            return importlib.import_module(name)
        spec = importlib.util.spec_from_file_location("benchmarks_page", FOLDER / "page.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.mark.parametrize("table", ["coverage", "errors", pytest.param("powers", marks=pytest.mark.soak)])
def test_the_report_page_has_the_simulated_tables(benchmarks: Callable[[str], ModuleType], table: str) -> None:
    """All draws have fixed seeds, so the numbers are equal to the last digit."""
    page = (REPOSITORY / "docs" / "report.md").read_text(encoding="utf-8")
    assert getattr(benchmarks("coverage"), table)() in page


def test_the_pages_say_what_was_measured(benchmarks: Callable[[str], ModuleType]) -> None:
    tables, page = benchmarks("tables"), benchmarks("page")
    facts, results = tables.load_throughput()
    assert page.readme_section() in (REPOSITORY / "README.md").read_text(encoding="utf-8")
    performance = (REPOSITORY / "docs" / "performance.md").read_text(encoding="utf-8")
    assert tables.throughput_tables(results, facts["cores"]) in performance
    assert tables.startup_table(tables.load("startup")["figures"]) in performance
    assert tables.slow_table(tables.load("slow")["figures"]) in performance
    assert tables.checkpoint_table(tables.load("checkpoints")["figures"]) in performance
    assert tables.report_table(tables.load("reports")["figures"]) in performance
    assert tables.sweep_table(tables.load("sweep")["figures"]) in performance
    assert page.scale_section() in (REPOSITORY / "docs" / "scale.md").read_text(encoding="utf-8")


def test_the_copies_of_runs_are_a_sweep(benchmarks: Callable[[str], ModuleType], tmp_path: Path) -> None:
    """Of which the report's time and size are measured."""
    reports = benchmarks("reports")
    fabricate(tmp_path / "run", 1.0, curve=np.arange(20.0).tolist())
    for bound, seed in itertools.product(reports.BOUNDS, range(2)):
        reports.copy(tmp_path / "run", tmp_path / "sweep" / f"{bound},{seed}", bound, seed)
    found = study(tmp_path / "sweep", Question())
    assert [float(level) for level in found.grid.factors["clip.max_norm"]] == list(reports.BOUNDS)
    assert all(len(record.series[found.curve_tag].steps) == reports.LINES for record in found.runs.records)
    scores = [score for each in found.scores for score in each.by_seed.values()]
    assert len(set(scores)) == len(scores) == 2 * len(reports.BOUNDS)


def test_the_tables_name_the_engine_of_each_work(benchmarks: Callable[[str], ModuleType]) -> None:
    overrides = benchmarks("workload").overrides
    for work, title in benchmarks("tables").WORK.items():
        assert title.rpartition(", ")[2] == resolve(compose(overrides(work)), 1).engine.name, work
