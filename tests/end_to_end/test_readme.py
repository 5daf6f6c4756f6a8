"""README.md, CONTRIBUTING.md and the pages in docs/ agree with the code: choices, paths, names and packages."""

from __future__ import annotations

import importlib
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.helpers import REPOSITORY

LONGEST_README = 120
PAGES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
SOURCES = REPOSITORY / "acexp"
FOLDERS = ("acexp", "benchmarks", "conf", "docs", "examples", "scripts", "studies", "tests")
PACKAGES = sorted(path.name for path in SOURCES.iterdir() if path.is_dir() and any(path.rglob("*.py")))

LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)")
CODE = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"([\w.-]+(?:/[\w.-]+)*/?)(?::([\w.]+))?")


@pytest.fixture
def write_choices(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(REPOSITORY / "scripts")
    return importlib.import_module("write_choices")


def test_the_table_of_choices_is_current(write_choices: ModuleType) -> None:
    page = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert write_choices.table() in page, "README.md is stale; rewrite its table: python scripts/write_choices.py"
    assert write_choices.filled(page) == page


def test_the_readme_is_short() -> None:
    n_lines = len((REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines())
    assert n_lines <= LONGEST_README, "move details to the page in docs/ where they belong"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_links_and_paths_exist(page: Path) -> None:
    text = prose(page)
    missing = [link for link in LINK.findall(text) if not (page.parent / link).exists()]
    missing += [f"{path}:{name}" if name else path for path, name in paths(text) if not exists(page, path, name)]
    assert not missing


def prose(page: Path) -> str:
    """The page without code blocks, fenced or indented; the lines of lists and tables stay."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"(?<=\n\n)(?: {4}.*\n)+", "", text)


def paths(text: str) -> Iterator[tuple[str, str | None]]:
    """The paths of this repository that the text names in code font, with the name inside a module, if there is one."""
    for code in CODE.findall(text):
        match = PATH.fullmatch(code)
        if match is None:
            continue
        path, name = match.groups()
        first, slash, _ = path.partition("/")
        if path.endswith(".py") or (slash and first in (*FOLDERS, *PACKAGES)):
            yield path, name


def exists(page: Path, path: str, name: str | None) -> bool:
    found = [folder / path for folder in (REPOSITORY, SOURCES, page.parent) if (folder / path).exists()]
    if name is None:
        return bool(found)
    text = "".join(file.read_text(encoding="utf-8") for file in found)
    return all(re.search(rf"^\s*(?:(?:def|class) )?{part}\b", text, re.MULTILINE) for part in name.split("."))


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/design.md"])
def test_every_package_has_a_place(page: str) -> None:
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    assert [name for name in PACKAGES if not re.search(rf"\b{name}/", text)] == []


def test_the_picture_shows_the_order_of_imports() -> None:
    configuration = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    layers = configuration["tool"]["importlinter"]["contracts"][0]["layers"]
    page = (REPOSITORY / "docs" / "design.md").read_text(encoding="utf-8")
    picture = page[page.index("## Packages") :].split("```")[1]
    shown = re.findall(r"^(\w+)", picture, re.MULTILINE)
    assert shown == [name for layer in layers for name in layer.split(" | ")]


def test_no_page_numbers_the_packages() -> None:
    """Numbers of layers go out of date with every new package."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py", "*.md", "*.toml"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    files = [REPOSITORY / name for name in listed.stdout.splitlines()]
    numbered = re.compile(r"\bLayer \d")
    assert [file for file in files if file.is_file() and numbered.search(file.read_text(encoding="utf-8"))] == []
