"""Files in a directory that acexp did not write."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from acexp.core.errors import UserError

HYDRAS_MARK = "app_name: acexp"
"""What Hydra's own files say if acexp has started Hydra: see conf/config.yaml."""


def refuse_overwriting(directory: Path, files: Sequence[str], key: str) -> None:
    """Raise UserError if there are any of these files, which lie in the directory and are not acexp's."""
    if files:
        raise UserError(
            f"This directory holds files that acexp did not write and would overwrite: {', '.join(files)}.",
            key=key,
            value=str(directory),
            remedy=f"choose another directory ({key}=...), or move the files away",
        )


def is_from_acexp(path: Path) -> bool:
    """Return True if Hydra wrote this file for acexp."""
    try:
        return HYDRAS_MARK in path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
