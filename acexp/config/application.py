"""How Hydra is started: where its YAML lies, what its interpolations mean, and what its errors say."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import hydra
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from acexp.config.launcher import LauncherConfig
from acexp.config.load import load_checked
from acexp.config.messages import explain
from acexp.config.places import place_of
from acexp.config.schema import RunConfig
from acexp.config.search import Search
from acexp.config.sweep import SweepJobs
from acexp.core.errors import UserError

CONFIG_NAME = "config"
LONGEST_NAME = 180
MULTIRUN = frozenset({"-m", "--multirun"})
_PACKAGE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Job:
    """One run as Hydra hands it over: its typed config, its directory, and what was overridden."""

    config: RunConfig
    directory: Path
    overrides: tuple[str, ...]
    in_sweep: bool


def config_directory() -> Path:
    """Where acexp's YAML lies: inside an installed package, or at the top of the repository."""
    for candidate in (_PACKAGE / "conf", _PACKAGE.parent / "conf"):
        if (candidate / f"{CONFIG_NAME}.yaml").is_file():
            return candidate
    raise FileNotFoundError(f"acexp's conf/ is neither in {_PACKAGE} nor beside it")


def slug(text: str) -> str:
    """A directory name: odd characters become dashes, and a long name ends in a hash of the whole."""
    name = re.sub(r"[^\w.=,+-]+", "-", text).strip("-") or "default"
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[: LONGEST_NAME - 9]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def sweep_name(overrides: Sequence[str]) -> str:
    """The sweep's directory: `name=...` if it is given, else a hash of the sorted overrides."""
    named = [override.partition("=")[2] for override in overrides if override.startswith("name=")]
    if named:
        return slug(named[-1])
    return hashlib.sha256("\n".join(sorted(overrides)).encode()).hexdigest()[:10]


def _environment_name(choice: str, environment_id: str) -> str:
    return slug(environment_id if choice == "gym" else choice)


def _register_resolvers(arguments: Sequence[str]) -> None:
    name = sweep_name([argument for argument in arguments if not argument.startswith("-")])
    OmegaConf.register_new_resolver("acexp.sweep", lambda: name, replace=True)
    OmegaConf.register_new_resolver("acexp.slug", slug, replace=True)
    OmegaConf.register_new_resolver("acexp.environment", _environment_name, replace=True)


@contextmanager
def _explained(arguments: Sequence[str]) -> Iterator[None]:
    """Hydra's own errors as UserErrors; without HYDRA_FULL_ERROR it would print them and exit by itself."""
    before = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    except HydraException as error:
        raise explain(error, arguments) from None
    finally:
        os.environ.pop("HYDRA_FULL_ERROR")
        if before is not None:
            os.environ["HYDRA_FULL_ERROR"] = before


def _show_plugins_to_hydra() -> None:
    """Hydra looks for launchers in the package `hydra_plugins` only, wherever that is found."""
    folder = str(_PACKAGE / "_plugins")
    if folder not in sys.path:
        sys.path.append(folder)


def run(
    arguments: Sequence[str],
    job: Callable[[Job], None],
    train_sweep: Callable[[SweepJobs, LauncherConfig], None],
    search: Callable[[Search], None],
) -> None:
    """Call `job` for the run that Hydra's command line describes, `train_sweep` for its whole sweep, or `search`.

    With `hydra/launcher=basic` a sweep calls `job` for one run after the other. Raises UserError for what Hydra does
    not understand, and for a directory that cannot be made.
    """
    _register_resolvers(arguments)
    _show_plugins_to_hydra()

    started = False

    def task(node: DictConfig) -> None:
        nonlocal started
        started = True
        runtime = HydraConfig.get()
        job(
            Job(
                config=load_checked(node, list(runtime.overrides.task)),
                directory=Path(runtime.runtime.output_dir),
                overrides=tuple(runtime.overrides.task),
                in_sweep=runtime.mode is RunMode.MULTIRUN,
            )
        )

    task.train_sweep = train_sweep  # type: ignore[attr-defined]  # for the population launcher
    task.search = search  # type: ignore[attr-defined]  # for the Optuna sweeper
    decorated = hydra.main(version_base="1.3", config_path=str(config_directory()), config_name=CONFIG_NAME)(task)
    before = sys.argv
    sys.argv = ["acexp", *arguments]
    try:
        with _explained(arguments):
            decorated()
    except OSError as error:
        if started or error.filename is None:
            raise
        what = "sweep" if MULTIRUN & set(arguments) else "run"
        key = f"hydra.{what}.dir"
        raise UserError(
            f"The {what}'s directory cannot be made: {error.strerror}.",
            key=key,
            value=error.filename,
            place=place_of(key, arguments),
            remedy=f"choose another one: {key}=...",
        ) from None
    finally:
        sys.argv = before
        GlobalHydra.instance().clear()


def compose(overrides: Sequence[str], config_dir: str | None = None) -> RunConfig:
    """The config of one run, without running it."""
    _register_resolvers(overrides)
    _show_plugins_to_hydra()
    hydra.version.setbase("1.3")
    search_path = create_config_search_path(str(config_directory()))
    if config_dir is not None:
        search_path.prepend("command-line", f"file://{Path(config_dir).resolve()}", anchor="schema")
    Hydra.create_main_hydra2("acexp", search_path)
    try:
        with _explained(overrides):
            return load_checked(hydra.compose(CONFIG_NAME, list(overrides)), overrides)
    finally:
        GlobalHydra.instance().clear()
