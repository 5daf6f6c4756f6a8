"""`acexp version`: shows the version of acexp."""

from __future__ import annotations

import argparse
import sys

from acexp.system.packages import versions


def show_version(arguments: list[str]) -> int:
    """Print acexp's version, and Python's."""
    argparse.ArgumentParser(prog="acexp version", description="Show the version of acexp.").parse_args(arguments)
    found = versions(("acexp",))
    sys.stdout.write(f"acexp {found.get('acexp', '(not installed)')}, Python {found['python']}\n")
    return 0
