"""The studies behind docs/results.md: their commands are valid, and the pages say what their data say."""

from __future__ import annotations

import importlib
import itertools
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from acexp.config import RunConfig
from acexp.report import Question, study, write
from acexp.report.inference import Mean
from acexp.report.table import to_csv
from acexp.report.tables import tables
from tests.helpers import ESTIMATE, REPOSITORY
from tests.report.fabricate import evaluated, fabricate


@pytest.fixture
def studies(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """A module of the folder, whose modules find each other as scripts do."""
    monkeypatch.syspath_prepend(REPOSITORY / "studies")
    return importlib.import_module


def test_every_run_of_every_study_has_a_config(
    studies: Callable[[str], ModuleType], config: Callable[..., RunConfig]
) -> None:
    """With each value of a list in its turn."""
    questions = studies("questions")
    for each in questions.STUDIES.values():
        for command in each.commands[: len(each.sweeps)]:
            program, multirun, *overrides = shlex.split(command)
            assert (program, multirun) == ("acexp", "-m")
            lists = [questions.values(override) for override in overrides if "seed=" not in override]
            for i in range(max(len(values) for _, values in lists)):
                chosen = [f"{key}={values[i % len(values)]}" for key, values in lists]
                assert config(*chosen).name == each.name


def test_the_pages_say_what_the_data_say(studies: Callable[[str], ModuleType]) -> None:
    page = studies("page")
    named = studies("questions").STUDIES
    texts = [path.read_text(encoding="utf-8") for path in page.PAGES]
    shown = [(name, content.strip()) for text in texts for _, name, content, _ in page.SECTION.findall(text)]
    assert set(named) <= {name for name, _ in shown}, "a study has no section"
    for name, content in shown:
        if name in named or name in page.TABLES:
            assert content == page.section(name).strip(), name


def test_every_interval_in_the_text_is_one_of_the_data(studies: Callable[[str], ModuleType]) -> None:
    """It is that of a cell, or of the difference of two cells of one environment, either way around."""
    page = studies("page")
    known = [estimate for name in page.TITLES for estimate in estimates(studies("scored"), name)]
    text = "".join(page.SECTION.sub("", path.read_text(encoding="utf-8")) for path in page.PAGES)
    written = ESTIMATE.findall(text)
    assert len(written) > 50
    unknown = [found for found in written if not any(is_rounded(found, each) for each in known)]
    assert not unknown


def is_rounded(written: tuple[str, ...], values: tuple[float, ...]) -> bool:
    """Whether the numbers are these values with fewer digits."""
    return all(f"{x:,.{len(text.partition('.')[2])}f}" == text for text, x in zip(written, values, strict=True))


def estimates(module: ModuleType, environment: str) -> Iterator[tuple[float, float, float]]:
    """The mean of every cell of an environment's studies, and the difference of every two with the same seeds."""
    mine = [each for each in module.STUDIES.values() if each.environment == environment and module.has(each, "runs")]
    for metric in ("evaluation", "training", "area"):
        cells = [dict(cell.by_seed) for each in mine for cell in module.scored(each, metric)]
        means = [Mean.of(list(cell.values())) for cell in cells]
        means += [
            Mean.of_difference(list(a.values()), list(b.values()), paired=True)
            for a, b in itertools.permutations(cells, 2)
            if list(a) == list(b)
        ]
        yield from ((m.value, *m.interval) for m in means if m.interval is not None)


def test_a_study_is_scored_and_compared_as_in_the_report_of_its_runs(
    studies: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The saved table of runs, of which one diverged, gives what the report of their directories gives."""
    rng = np.random.default_rng(0)
    for seed in range(8):
        for arch, n_envs, shift in (("separate", 8, 0.0), ("separate", 16, 3.0), ("shared", 8, 1.0)):
            score = shift + float(rng.normal())
            fabricate(
                tmp_path / "sweep" / f"{arch},{n_envs},{seed}",
                score + float(rng.normal()),
                seed,
                curve=rng.normal(size=5).tolist(),
                status="diverged" if (arch, seed) == ("shared", 7) else "done",
                evaluation=evaluated(score),
                arch__name=arch,
                total_steps=400,
                optim__n=n_envs,
            )
    module = studies("scored")
    found = {name: study(tmp_path / "sweep", Question("arch=separate", name)) for name in ("training", "area", None)}
    mine = module.Study("cliffwalking", "question", (), ("arch=separate",))
    monkeypatch.setattr(module, "DATA", tmp_path)
    (tmp_path / mine.name).mkdir()
    (runs,) = (table for table in tables(found[None]) if table.name == "runs")
    (tmp_path / mine.name / "runs.csv").write_text(to_csv(runs))
    for name, expected in found.items():
        scored = module.scored(mine, name or "evaluation")
        assert [dict(cell.by_seed) for cell in scored] == [dict(cell.by_seed) for cell in expected.scores]
        for ours, theirs in zip(scored, expected.scores, strict=True):
            assert ours.cell.name == theirs.cell.name
            assert (ours.mean, ours.median, ours.iqm) == (theirs.mean, theirs.median, theirs.iqm)
            assert ours.area is not None
            assert theirs.area is not None
            assert ours.area.value == pytest.approx(theirs.area.value)
        assert [c.sentence for c in scored.compare("arch=separate")] == [c.sentence for c in expected.comparisons]


def test_the_runs_of_all_sweeps_of_a_study_are_saved(
    studies: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With a report of all, as the study's commands write it."""
    module = studies("run")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "DATA", tmp_path / "data")
    mine = module.Study("cliffwalking", "question", ("seed=3,4", "arch=shared seed=3,4"))
    sweep = tmp_path / mine.directory
    for arch in ("separate", "shared"):
        for seed, height in ((3, 1.0), (4, 5.0)):
            fabricate(sweep / f"{arch},{seed}", 0.0, seed, curve=(0.0, height), arch__name=arch)
    write(tmp_path / next(iter(mine.reports.values())), study(sweep, Question()))
    module.save_tables(mine)
    saved = {path.stem: module.read(path) for path in (tmp_path / "data" / mine.name).iterdir()}
    assert set(saved) == {*module.SAVED, "curves"}
    assert saved["runs"]["identity"].tolist() == ["separate,3", "separate,4", "shared,3", "shared,4"]
    assert list(saved["curves"].columns) == ["environment", "experiment", "step", "seed 3", "seed 4"]
    assert saved["curves"]["step"].tolist() == [200, 400, 200, 400]
    assert saved["curves"]["seed 4"].tolist() == [0.0, 5.0, 0.0, 5.0]


def test_a_study_that_saved_its_settings_says_its_engine_and_versions(
    studies: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    page = studies("page")
    mine = page.Study("lunarlander", "question", ())
    monkeypatch.setattr(studies("scored"), "DATA", tmp_path)
    assert page._made_with(mine) == ("envpool", "not recorded")
    (tmp_path / mine.name).mkdir()
    (tmp_path / mine.name / "settings.csv").write_text("environment,setting,value\nL,engine.name,gymnasium\n")
    (tmp_path / mine.name / "versions.csv").write_text("package,version\nacexp,1\ntorch,2\nnumpy,3\ngymnasium,4\n")
    assert page._made_with(mine) == ("gymnasium", "acexp 1, torch 2, numpy 3, gymnasium 4")


def test_what_is_told_at_a_runs_end_is_what_the_data_say(studies: Callable[[str], ModuleType]) -> None:
    page = studies("page")
    assert page.REACHED.read_text(encoding="utf-8") == page.reached()


def test_runs_of_a_study_are_identified_by_their_directories(
    studies: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    """A report names these relative to the sweep's directory."""
    for seed in (0, 1):
        (tmp_path / f"seed={seed}").mkdir()
        (tmp_path / f"seed={seed}" / "status.json").write_text(f'{{"identity": "{seed}{seed}"}}')
    table = pd.DataFrame({"directory": ["seed=1", "seed=0"]})
    assert list(studies("run").with_identities(table, tmp_path)["identity"]) == ["11", "00"]
