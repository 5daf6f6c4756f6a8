"""`acexp version`: shows the version of acexp."""

from __future__ import annotations

import sys

from acexp.commands.arguments import Arguments
from acexp.system.packages import versions


def show_version(arguments: list[str]) -> int:
    """Print acexp's version, and Python's."""
    Arguments(prog="acexp version", description="Show the version of acexp.").parse_args(arguments)
    found = versions(("acexp",))
    sys.stdout.write(f"acexp {found.get('acexp', '(not installed)')}, Python {found['python']}\n")
    return 0
