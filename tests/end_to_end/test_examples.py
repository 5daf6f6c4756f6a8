"""The notebooks run from top to bottom, and what they show is what they would show again."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.helpers import REPOSITORY

NOTEBOOKS = sorted((REPOSITORY / "examples").glob("*.ipynb"))


@pytest.mark.long
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore")  # of the machinery that talks to the kernel
def test_notebook(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    notebook = nbformat.read(path, as_version=4)
    shown = [tables(cell) for cell in notebook.cells]
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    for cell, before in zip(notebook.cells, shown, strict=True):
        assert not [out for out in cell.get("outputs", []) if out.get("name") == "stderr"]
        if "examine(" in cell.source:  # one update is the same everywhere; trained runs need not be
            assert tables(cell) == before, cell.source


def tables(cell: nbformat.NotebookNode) -> list[str]:
    """What a cell gave, as text."""
    return [out.data["text/plain"] for out in cell.get("outputs", []) if out.output_type == "execute_result"]
