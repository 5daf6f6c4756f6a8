"""Finds the place that set a value: an override on the command line, or a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from acexp.core.errors import UserError


def place_of(key: str | None, overrides: Sequence[str]) -> str | None:
    """Return `command line: KEY=VALUE`, or the YAML file that sets a key; None if neither sets it."""
    if not key:
        return None
    given = [(override.partition("=")[0].lstrip("+~").partition("@")[0], override) for override in reversed(overrides)]
    exact = [override for name, override in given if name == key or name.startswith(f"{key}.")]
    # `clip=tight` chose the file that contains clip.max_norm: the file is the place, unless the choice is at fault.
    group = [override for name, override in given if key.startswith(f"{name}.")]
    chosen = exact or (group if key.endswith(".name") else [])
    if chosen:
        return f"command line: {chosen[0]}"
    return _file_of(key, overrides) or (f"command line: {group[0]}" if group else None)


@contextmanager
def placed(overrides: Sequence[str]) -> Iterator[None]:
    """Add to every UserError raised in the block the place that set the value at fault. See `place_of`."""
    try:
        yield
    except UserError as error:
        raise error.at(place_of(error.key, overrides)) from error.__cause__


def _file_of(key: str, overrides: Sequence[str]) -> str | None:
    # Most commands do not start Hydra, and it takes a while to import.
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from hydra.types import RunMode

    if not GlobalHydra.instance().is_initialized():
        return None
    loader = GlobalHydra.instance().config_loader()
    try:
        defaults = loader.compute_defaults_list("config", list(overrides), RunMode.RUN).defaults
    except HydraException:
        return None
    folders = [Path(entry.path.removeprefix("file://")) for entry in loader.get_search_path().get_path() if entry.path]
    for default in reversed(defaults):
        if default.config_path is None or (default.package or "").startswith("hydra"):
            continue
        for path in _existing(folders, default.config_path):
            package = default.package if default.package not in (None, "_global_", "") else None
            relative = key if package is None else key.removeprefix(f"{package}.")
            node = OmegaConf.load(path)
            if isinstance(node, DictConfig) and _contains(node, relative) and (package is None or relative != key):
                return _short(path)
    return None


def _existing(folders: Iterable[Path], config_path: str) -> list[Path]:
    return [path for folder in folders if (path := folder / f"{config_path}.yaml").is_file()][:1]


def _contains(node: DictConfig, key: str) -> bool:
    current: object = node
    for part in key.split("."):
        if not isinstance(current, DictConfig) or part not in current:
            return False
        current = current._get_node(part)
    return True


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
