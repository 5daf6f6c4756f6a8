"""Write the table of what can be chosen into README.md, from the registries and the YAML in conf/."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from acexp.config import choices
from acexp.config.groups import CONFIG_GROUPS, Group, config_directory, registries
from acexp.config.keys import PLAIN
from acexp.core.markdown import grid

README = Path(__file__).resolve().parent.parent / "README.md"
BEGIN, END = "<!-- choices: begin -->", "<!-- choices: end -->"


def table() -> str:
    """Return a Markdown table with one row per config group: its choices, the default first, and where they lie."""
    columns = ("group", "choices, the default first", "what it selects", "code", "config")
    return grid(columns, [_row(group) for group in CONFIG_GROUPS])


def filled(page: str) -> str:
    """Return a page with the current table between its marks."""
    head, tail = page[: page.index(BEGIN) + len(BEGIN)], page[page.index(END) :]
    return f"{head}\n\n{table()}\n\n{tail}"


def _row(group: Group) -> tuple[str, ...]:
    names = [choice.name for choice in choices(group.name, [config_directory()])]
    code = _code(group, names)
    return (
        f"`{group.name}`",
        " ".join(f"`{name}`" for name in names),
        group.selects,
        "" if code is None else f"[{code.removeprefix('acexp/')}]({code})",
        f"[conf/{group.name}](conf/{group.name})",
    )


def _code(group: Group, names: Sequence[str]) -> str | None:
    """Return the module that defines all choices of a group, or else their package; None if they are values only."""
    registry = registries().get(group.name)
    if registry is not None:
        modules = {str(registry[name].build.__module__) for name in names if name in registry.names}
    elif group.name in PLAIN:
        modules = {PLAIN[group.name].__module__}
    else:
        return None
    if len(modules) == 1:
        return f"{modules.pop().replace('.', '/')}.py"
    (package,) = {module.rpartition(".")[0] for module in modules}
    return package.replace(".", "/")


def main() -> None:
    """Rewrite the table."""
    README.write_text(filled(README.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
