"""Packages that not everybody has."""

from __future__ import annotations

import importlib.util

from acexp.core.errors import UserError


def is_installed(package: str) -> bool:
    """Whether a package can be imported; it is not imported."""
    return importlib.util.find_spec(package) is not None


def require_package(package: str, extra: str, needs: str, *, key: str | None = None, value: object = None) -> None:
    """Raise UserError, with the extra that brings it, unless a package is installed; `needs` begins the sentence."""
    if not is_installed(package):
        raise UserError(
            f"{needs} {package}, which is not installed.",
            key=key,
            value=value,
            remedy=f"pip install 'acexp[{extra}]'",
        )
