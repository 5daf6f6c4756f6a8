"""The one way through Hydra: from a command line to the runs, sweep or search that it describes.

`run` starts Hydra with a task that is an object, HydraTask, not a function. Hydra passes that object on to everything
that acexp adds to it (the launcher, the sweepers, the callback), so that all of them reach the same Application.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import hydra
from hydra.conf import HydraConf
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode, TaskFunction
from omegaconf import DictConfig, OmegaConf

from acexp.config.command_line import has_usual_flags, with_flags_first
from acexp.config.groups import CONFIG_NAME, GROUPS, PACKAGE, config_directory
from acexp.config.hydra_internals import ConfigLoader, Hydra, create_config_search_path, get_args_parser
from acexp.config.keys import PLAIN, former_override
from acexp.config.launcher import DRY_RUN, LauncherConfig
from acexp.config.load import load_checked
from acexp.config.messages import explained
from acexp.config.names import former_sweep_name, slug, sweep_name
from acexp.config.places import place_of
from acexp.config.schema import RunConfig
from acexp.config.search import Search
from acexp.config.sweep import SweepJobs, SweepRun
from acexp.core.errors import UserError
from acexp.core.flags import MULTIRUN

ENVIRONMENT_KEYS = frozenset({"env", "env.id", "experiment"})
"""The keys that choose the environment: a sweep over one of them is not called by an environment."""


@dataclass(frozen=True, slots=True)
class Job:
    """One run as Hydra hands it over: its typed config, directory and overrides, and remarks on its environment."""

    config: RunConfig
    directory: Path
    overrides: tuple[str, ...]
    in_sweep: bool
    remarks: tuple[str, ...] = ()


class Application(Protocol):
    """What a command does with the runs that Hydra composes for it."""

    def train_run(self, job: Job) -> None:
        """Train one run: a single one, or one after the other of a sweep with `hydra/launcher=basic`."""

    def check_launcher(self, launcher: LauncherConfig) -> None:
        """Raise UserError if a sweep cannot be trained with this launcher; called before anything is written."""

    def check_runs(self, runs: Sequence[SweepRun]) -> None:
        """Raise UserError if a sweep varies what none of its runs reads; called before anything is written."""

    def check_environments(self, configs: Sequence[RunConfig]) -> None:
        """Print remarks on the environments of a sweep's runs; raise UserError if none of them works.

        It is called before anything is written.
        """

    def begun(self, folder: Path) -> Mapping[str, str]:
        """Return the identities of the runs that have begun in a sweep's folder, by the names of their directories."""

    def claim_sweep(self, folder: Path, configs: Sequence[RunConfig]) -> None:
        """Say if a folder holds another sweep too; raise UserError if it holds a search.

        Nothing has been written yet.
        """

    def note_repeats(self, n: int) -> None:
        """Say that `n` runs of a sweep equal others of it, and are not trained again."""

    def train_sweep(self, jobs: SweepJobs, launcher: LauncherConfig) -> None:
        """Train all runs of a sweep as populations."""

    def search(self, search: Search) -> None:
        """Search for good settings; nothing has been written yet."""


class HydraTask:
    """The task that Hydra calls for each run that it executes itself.

    Attributes:
        application: What is done with the runs.
        has_started: True once Hydra has made the directory of a run and called the task.
    """

    def __init__(self, application: Application) -> None:
        self.application = application
        self.has_started = False
        self._checked: RunConfig | None = None
        self._remarks: tuple[str, ...] = ()

    def accept(self, config: RunConfig, remarks: tuple[str, ...]) -> None:
        """Take the config of the next run, which was loaded and checked already, and the remarks on its environment."""
        self._checked, self._remarks = config, remarks

    def __call__(self, node: DictConfig) -> None:
        """Train the run that Hydra has composed."""
        self.has_started = True
        runtime = HydraConfig.get()
        overrides = tuple(overrides_of(runtime))
        config, self._checked = self._checked or load_checked(node, overrides), None
        in_sweep = runtime.mode is RunMode.MULTIRUN
        directory = Path(runtime.runtime.output_dir)
        self.application.train_run(Job(config, directory, overrides, in_sweep, self._remarks))


class Refused(SystemExit):
    """Carries a UserError out of a Hydra callback, where Hydra turns ordinary exceptions into warnings."""

    def __init__(self, error: UserError) -> None:
        super().__init__(2)
        self.error = error


def run(arguments: Sequence[str], application: Application) -> None:
    """Do what a Hydra command line asks for, with the given application.

    Raises UserError for what Hydra refuses, and for a directory that cannot be made.
    """
    task = HydraTask(application)
    try:
        _start(arguments, task)
    except Refused as refusal:
        raise refusal.error from None
    except OSError as error:
        if task.has_started or error.filename is None:
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


def show_help(arguments: Sequence[str]) -> None:
    """Print Hydra's own help on a command line that asks for it: the groups, and the composed config."""

    def nothing(node: DictConfig) -> None:
        """Take the place of the task, which Hydra does not call where it prints its help."""

    _start(arguments, nothing)


def _start(arguments: Sequence[str], task: TaskFunction) -> None:
    """Let Hydra answer a command line: print what a flag asks for, or compose the config and call the task."""
    before = sys.argv
    sys.argv = ["acexp", *arguments]
    try:
        with explained(arguments):
            _register(arguments)
            if has_usual_flags(arguments):
                _start_quickly(arguments, task)
            else:
                sys.argv[1:] = with_flags_first(arguments)
                hydra.main(version_base="1.3", config_path=str(config_directory()), config_name=CONFIG_NAME)(task)()
    finally:
        sys.argv = before
        GlobalHydra.instance().clear()


def _start_quickly(arguments: Sequence[str], task: TaskFunction) -> None:
    """Do what `hydra.main` does, with the mode that the flags say: it would compose the config twice to find it."""
    parser = get_args_parser()
    parsed = parser.parse_args(list(arguments))
    application = _initialized(create_config_search_path(str(config_directory())))
    if parsed.help:
        application.app_help(CONFIG_NAME, parser, parsed)
    elif parsed.multirun:
        application.multirun(CONFIG_NAME, task, [*parsed.overrides, f"hydra.mode={RunMode.MULTIRUN.name}"])
    else:
        application.run(CONFIG_NAME, task, [*parsed.overrides, f"hydra.mode={RunMode.RUN.name}"])


def _initialized(search_path: ConfigSearchPath) -> Hydra:
    """Return Hydra, ready to compose configs from a search path."""
    hydra.version.setbase("1.3")
    result = Hydra(task_name="acexp", config_loader=ConfigLoader(search_path))
    GlobalHydra.instance().initialize(result)
    return result


def overrides_of(hydra: HydraConf | DictConfig) -> list[str]:
    """Return the overrides of a run as they were given; `${...}` in them stays."""
    given = OmegaConf.to_container(hydra.overrides.task, resolve=False)
    assert isinstance(given, list)
    return [str(override) for override in given]


def compose(overrides: Sequence[str], config_dir: str | None = None) -> RunConfig:
    """Return the config of one run, without running it."""
    try:
        with explained(overrides):
            _register(overrides)
            search_path = create_config_search_path(str(config_directory()))
            if config_dir is not None:
                search_path.prepend("command-line", f"file://{Path(config_dir).resolve()}", anchor="schema")
            _initialized(search_path)
            return load_checked(hydra.compose(CONFIG_NAME, list(overrides)), overrides)
    finally:
        GlobalHydra.instance().clear()


def _environment_name(node: DictConfig) -> str:
    """Return what directories call the environment of a composed config.

    It is read from the config itself: Hydra's own resolver `hydra:` does not work yet where a run is refused.
    """
    choice = str(OmegaConf.select(node, "hydra.runtime.choices.env"))
    return slug(str(OmegaConf.select(node, "env.id")) if choice == "gym" else choice)


def _sweep_directory(overrides: Sequence[str]) -> Callable[..., str]:
    """Return the resolver of a sweep's directory, which answers the same to every run of the sweep."""
    found: dict[str, str] = {}

    def resolve(folder: str, name: str | None, *, _root_: DictConfig) -> str:
        if folder not in found:
            known = slug(str(name)) if name is not None else _name_of_sweep(Path(folder), overrides, _root_)
            found[folder] = str(Path(folder) / known)
        return found[folder]

    return resolve


def _name_of_sweep(folder: Path, overrides: Sequence[str], node: DictConfig) -> str:
    """Return the name of a sweep that was given none; where an earlier version began it, the one that it has."""
    former = former_sweep_name(map(former_override, overrides))
    if (folder / former).is_dir():
        return former
    varying = _swept_keys(overrides)
    environment = None if ENVIRONMENT_KEYS & set(varying) else _environment_name(node)
    return sweep_name(environment, varying, overrides)


def _swept_keys(overrides: Sequence[str]) -> list[str]:
    """Return the keys of the overrides that have several values."""
    parsed = OverridesParser.create().parse_overrides([override for override in overrides if "=" in override])
    return [override.key_or_group for override in parsed if override.is_sweep_override()]


def _register(arguments: Sequence[str]) -> None:
    """Register what conf/config.yaml refers to: plugins, resolvers, and the settings that have no group."""
    # Hydra finds plugins in the package `hydra_plugins` only, wherever that lies.
    folder = str(PACKAGE / "_plugins")
    if folder not in sys.path:
        sys.path.append(folder)
    overrides = [argument for argument in arguments if not argument.startswith(("-", f"{DRY_RUN}="))]
    OmegaConf.register_new_resolver("acexp.sweep", _sweep_directory(overrides), replace=True)
    OmegaConf.register_new_resolver("acexp.run", slug, replace=True)  # until a SweepComposer has named the runs
    OmegaConf.register_new_resolver(
        "acexp.named", lambda name, other: other if name is None else slug(str(name)), replace=True
    )
    OmegaConf.register_new_resolver("acexp.environment", lambda *, _root_: _environment_name(_root_), replace=True)
    classes = {key: cls for key, cls in PLAIN.items() if key not in GROUPS}
    node = OmegaConf.create({key: OmegaConf.to_container(OmegaConf.structured(cls)) for key, cls in classes.items()})
    ConfigStore.instance().store(name="defaults_of_classes", node=node, provider="acexp")
