"""Charts as files, from runs whose numbers were thought up."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from acexp.core.errors import UserError
from acexp.report import Question, study
from acexp.report.charts import charts
from acexp.report.figures import write_figures
from tests.report.fabricate import fabricate


def runs(directory: Path) -> None:
    for seed in range(3):
        for arch in ("separate", "shared"):
            for norm in (0.1, 5.0):
                settings = {"arch__name": arch, "clip__max_norm": norm}
                fabricate(directory / f"{arch}{norm}{seed}", norm + seed, seed, curve=(0.0, norm, seed), **settings)


def test_every_chart_is_a_file(tmp_path: Path) -> None:
    runs(tmp_path)
    found = study(tmp_path, Question())
    drawn = write_figures(tmp_path / "figures", found, "svg")
    assert len(set(drawn)) == len(charts(found)) >= 6
    for path, chart in zip(drawn, charts(found), strict=True):
        texts = [element.text for element in ElementTree.parse(path).iter() if element.tag.endswith("}text")]
        for axis in ("xaxis", "yaxis"):
            title = chart.layout.get(axis, {}).get("title", {}).get("text")
            assert title is None or title in texts, path.name
        for trace in chart.traces:
            assert trace.get("name") is None or texts.count(trace["name"]) == 1, path.name
        assert len([path for path in ElementTree.parse(path).iter() if path.tag.endswith("}path")]) > len(chart.traces)


def test_the_same_runs_give_the_same_figures(tmp_path: Path) -> None:
    runs(tmp_path)
    found = study(tmp_path, Question())
    before = [path.read_bytes() for path in write_figures(tmp_path / "figures", found, "svg")]
    assert [path.read_bytes() for path in write_figures(tmp_path / "figures", found, "svg")] == before


def test_figures_by_one_option(acexp: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    runs(tmp_path)
    result = acexp("report", ".", "--figures", "png")
    assert result.returncode == 0, result.stderr
    assert "report/figures/*.png" in result.stdout
    with Image.open(tmp_path / "report" / "figures" / "learning-curves-toy-v0.png") as image:
        assert image.width >= 1200
    result = acexp("report", ".", "--figures", "svgg")
    assert result.returncode == 2
    assert "did you mean: svg" in result.stderr


def test_figures_without_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs(tmp_path)
    monkeypatch.setattr("acexp.system.packages.is_installed", lambda package: False)
    with pytest.raises(UserError, match="need matplotlib") as error:
        write_figures(tmp_path, study(tmp_path, Question()), "svg")
    assert "acexp[notebook]" in str(error.value)
