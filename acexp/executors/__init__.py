"""Layer 5: where a sweep's populations are trained: processes here, Ray, Slurm."""

from __future__ import annotations

import importlib
import importlib.util

from acexp.config.launcher import KEY, LauncherConfig
from acexp.core.errors import UserError
from acexp.executors.base import Began, Dropped, Ended, Event, Executor, Lost, Progressed
from acexp.executors.local import prepare

_CLASSES = {"local": "LocalExecutor", "ray": "RayExecutor", "slurm": "SlurmExecutor"}
_PACKAGES = {"ray": "ray", "slurm": "submitit"}


def executor(launcher: LauncherConfig) -> Executor:
    """The one that is asked for; raises UserError where its package is missing, or what it needs is not there."""
    try:
        require(launcher)
        module = importlib.import_module(f"{__name__}.{launcher.executor}")
        made: Executor = getattr(module, _CLASSES[launcher.executor])(launcher)
    except UserError as error:
        raise error.under(KEY) from None
    return made


def require(launcher: LauncherConfig) -> None:
    """Raise UserError unless the executor's package is installed."""
    package = _PACKAGES.get(launcher.executor)
    if package is not None and importlib.util.find_spec(package) is None:
        raise UserError(
            f"The executor needs {package}, which is not installed.",
            key="executor",
            value=launcher.executor,
            remedy=f"pip install 'acexp[{launcher.executor}]', or do without: executor=local",
        )


__all__ = ["Began", "Dropped", "Ended", "Event", "Executor", "Lost", "Progressed", "executor", "prepare", "require"]
