"""Packages that acexp can use: which are installed, and in which versions."""

from __future__ import annotations

import importlib.util
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

from acexp.core.errors import UserError


class Package(NamedTuple):
    """A package that a part of acexp needs.

    Attributes:
        name: Name of the package.
        purpose: What it is needed for, in a few words.
        remedy: The command that installs it.
        distribution: Name of the distribution that has its version, as pip calls it; empty if it is `name`.
    """

    name: str
    purpose: str
    remedy: str
    distribution: str = ""

    @property
    def version(self) -> str | None:
        """The version that is installed; None if none is."""
        try:
            return version(self.distribution or self.name)
        except PackageNotFoundError:
            return None


def is_installed(module: str) -> bool:
    """Return True if a module can be imported; it is not imported."""
    return importlib.util.find_spec(module) is not None


def require_package(package: str, extra: str, needs: str, *, key: str | None = None, value: object = None) -> None:
    """Raise UserError, with the extra that installs it, unless a package is installed; `needs` begins the sentence."""
    if not is_installed(package):
        raise UserError(
            f"{needs} {package}, which is not installed.",
            key=key,
            value=value,
            remedy=f"pip install 'acexp[{extra}]'",
        )


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of Python and of those of the packages that are installed."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
