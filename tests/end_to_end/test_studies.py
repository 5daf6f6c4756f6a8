"""The studies behind docs/results.md: their commands are valid, and the pages say what their data say."""

from __future__ import annotations

import importlib
import shlex
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from acexp.config import RunConfig
from tests.helpers import REPOSITORY


@pytest.fixture
def studies(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """A module of the folder, whose modules find each other as scripts do."""
    monkeypatch.syspath_prepend(REPOSITORY / "studies")
    return importlib.import_module


def test_every_run_of_every_study_has_a_config(
    studies: Callable[[str], ModuleType], config: Callable[..., RunConfig]
) -> None:
    """With each value of a list in its turn."""
    for study in studies("questions").STUDIES.values():
        for command in study.commands[: len(study.sweeps)]:
            program, multirun, *overrides = shlex.split(command)
            assert (program, multirun) == ("acexp", "-m")
            lists = [override.partition("=")[::2] for override in overrides if "seed=" not in override]
            for i in range(max(len(values.split(",")) for _, values in lists)):
                chosen = [f"{key}={values.split(',')[i % len(values.split(','))]}" for key, values in lists]
                assert config(*chosen).name == study.name


def test_the_pages_say_what_the_data_say(studies: Callable[[str], ModuleType]) -> None:
    page = studies("page")
    named = studies("questions").STUDIES
    texts = [path.read_text(encoding="utf-8") for path in page.PAGES]
    shown = [(name, content.strip()) for text in texts for _, name, content, _ in page.SECTION.findall(text)]
    assert set(named) <= {name for name, _ in shown}, "a study has no section"
    for name, content in shown:
        if name in named or name == "summary":
            assert content == page.section(name).strip(), name


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
