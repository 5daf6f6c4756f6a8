"""Executors: where a sweep's populations are trained. Processes of this machine, Ray, or Slurm."""

from __future__ import annotations

import importlib
import shutil
import signal

from acexp.config.launcher import KEY, LauncherConfig
from acexp.core.errors import UserError
from acexp.sweeps.executors.base import (
    Began,
    Dropped,
    Ended,
    Event,
    Executor,
    Lost,
    Progressed,
    expected_places,
)
from acexp.sweeps.executors.local import prepare_processes
from acexp.system.packages import require_package

_CLASSES = {"local": "LocalExecutor", "ray": "RayExecutor", "slurm": "SlurmExecutor"}
_PACKAGES = {"ray": "ray", "slurm": "submitit"}


def open_executor(launcher: LauncherConfig) -> Executor:
    """Open the executor that the launcher's config names; raises UserError where it cannot work."""
    require(launcher)
    module = importlib.import_module(f"{__name__}.{launcher.executor}")
    try:
        executor: Executor = getattr(module, _CLASSES[launcher.executor])(launcher)
    except UserError as error:
        raise error.under(KEY) from None
    return executor


def require(launcher: LauncherConfig) -> None:
    """Raise UserError if it is clear, without starting anything, that the executor cannot work here."""
    if launcher.executor == "slurm" and not hasattr(signal, "SIGUSR2"):
        raise UserError(
            "Slurm asks its jobs to stop by the signal SIGUSR2, which this operating system does not have.",
            key=f"{KEY}.executor",
            value=launcher.executor,
            remedy=f"start the sweep where Slurm is, or train on this machine: {KEY}.executor=local",
        )
    package = _PACKAGES.get(launcher.executor)
    if package is not None:
        require_package(
            package, launcher.executor, "The executor needs", key=f"{KEY}.executor", value=launcher.executor
        )
    if launcher.executor == launcher.slurm.cluster == "slurm" and shutil.which("sbatch") is None:
        raise UserError(
            "There is no Slurm here: the command sbatch was not found.",
            key=f"{KEY}.slurm.cluster",
            value=launcher.slurm.cluster,
            remedy=f"start the sweep where Slurm is, or try it on this machine: {KEY}.slurm.cluster=local",
        )


__all__ = [
    "Began",
    "Dropped",
    "Ended",
    "Event",
    "Executor",
    "Lost",
    "Progressed",
    "expected_places",
    "open_executor",
    "prepare_processes",
    "require",
]
