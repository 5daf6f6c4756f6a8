"""What torchrun says of the processes of a run, in the environment variables of each; read without importing torch."""

from __future__ import annotations

import os
from collections.abc import Mapping


def world_size(environment: Mapping[str, str] = os.environ) -> int:
    """Return the number of processes that torchrun has started, 1 without torchrun."""
    return int(environment.get("WORLD_SIZE", 1)) if "TORCHELASTIC_RUN_ID" in environment else 1


def rank(environment: Mapping[str, str] = os.environ) -> int:
    """Return the rank of this process, 0 when it runs alone."""
    return int(environment["RANK"]) if world_size(environment) > 1 else 0


def local_world_size(environment: Mapping[str, str] = os.environ) -> int:
    """Return the number of processes of this run on this machine."""
    return int(environment["LOCAL_WORLD_SIZE"]) if world_size(environment) > 1 else 1
