"""Modules that users could import under an earlier name: the old name answers with the new module and a warning."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

RENAMED = {
    "acexp.a2c": "acexp.algorithm.loop",
    "acexp.agent": "acexp.runs.agent",
    "acexp.clipping": "acexp.optimizers.clipping",
    "acexp.evaluation": "acexp.runs.evaluation",
    "acexp.optimizers.base": "acexp.core.configs.optimizers",
    "acexp.run_directory": "acexp.runs.run_directory",
    "acexp.runner": "acexp.runs.runner",
}
"""The new name of each module, by its old name."""


class _RenamedModules(MetaPathFinder, Loader):
    """Finds the old names and loads the new modules."""

    def __init__(self) -> None:
        self._specs: dict[str, ModuleSpec | None] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname in RENAMED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        new = RENAMED[spec.name]
        warnings.warn(f"{spec.name} is now {new}", DeprecationWarning, stacklevel=2)
        module = importlib.import_module(new)
        self._specs[new] = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Give the module, which has been executed under its new name, its own spec back."""
        module.__spec__ = self._specs[module.__name__]


def answer_renamed_modules() -> None:
    """Let Python's import system find the old names; a second call does nothing."""
    if not any(isinstance(finder, _RenamedModules) for finder in sys.meta_path):
        sys.meta_path.append(_RenamedModules())
