"""Layer 5: where a sweep's populations are trained: processes here, Ray, Slurm."""

from __future__ import annotations

import importlib
import shutil

from acexp.config.launcher import KEY, LauncherConfig
from acexp.core.errors import UserError
from acexp.sweeps.executors.base import Began, Dropped, Ended, Event, Executor, Lost, Progressed
from acexp.sweeps.executors.local import prepare
from acexp.system.packages import require_package

_CLASSES = {"local": "LocalExecutor", "ray": "RayExecutor", "slurm": "SlurmExecutor"}
_PACKAGES = {"ray": "ray", "slurm": "submitit"}


def executor(launcher: LauncherConfig) -> Executor:
    """The one that is asked for; raises UserError where what it needs is not there."""
    require(launcher)
    module = importlib.import_module(f"{__name__}.{launcher.executor}")
    try:
        made: Executor = getattr(module, _CLASSES[launcher.executor])(launcher)
    except UserError as error:
        raise error.under(KEY) from None
    return made


def require(launcher: LauncherConfig) -> None:
    """Raise UserError where it can be told without starting anything that the executor cannot work here."""
    package = _PACKAGES.get(launcher.executor)
    if package is not None:
        require_package(
            package, launcher.executor, "The executor needs", key=f"{KEY}.executor", value=launcher.executor
        )
    if launcher.executor == launcher.slurm.cluster == "slurm" and shutil.which("sbatch") is None:
        raise UserError(
            "There is no Slurm here: sbatch is not to be found.",
            key=f"{KEY}.slurm.cluster",
            value=launcher.slurm.cluster,
            remedy=f"start the sweep where Slurm is, or try it on this machine: {KEY}.slurm.cluster=local",
        )


__all__ = ["Began", "Dropped", "Ended", "Event", "Executor", "Lost", "Progressed", "executor", "prepare", "require"]
