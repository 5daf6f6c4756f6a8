"""The runs of a sweep, composed without composing each."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from hydra.types import TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from acexp.config.hydra_internals import BasicSweeper, Callbacks, ConfigLoaderImpl, get_overrides_dirname
from acexp.config.load import load_checked
from acexp.config.messages import explain
from acexp.config.names import SEED, NamedRun, run_names, slug, varying_keys
from acexp.config.run_identity import identity
from acexp.config.saved import settings
from acexp.config.schema import RunConfig
from acexp.core.errors import UserError


class SweepRun(NamedTuple):
    """One run of a sweep: its overrides and its typed config."""

    overrides: tuple[str, ...]
    config: RunConfig


def without_repeats(runs: Sequence[SweepRun]) -> list[SweepRun]:
    """Return the runs of which no two have equal configs: `seed=1,1,2` and `1e-3,0.001` repeat a run."""
    first: dict[str, SweepRun] = {}
    for run in runs:
        first.setdefault(repr(run.config), run)
    return list(first.values())


def varying_settings(runs: Sequence[SweepRun]) -> tuple[str, ...]:
    """Return the keys of the settings that distinguish these runs, without the seed and what follows from a choice."""
    known = [settings(run.config) for run in runs]
    keys = dict.fromkeys(key for each in known for key in each if key != SEED)
    differing = [key for key in keys if len({each.get(key) for each in known}) > 1]
    given = varying_keys(run.overrides for run in runs)
    return tuple([key for key in differing if key in given or key.removesuffix(".name") in given] or differing)


class SweepComposer:
    """Composes the runs of a multirun.

    Hydra takes about 70 ms to compose a run from its files. Runs that choose the same groups differ in values only:
    the part that they share is composed once, and each run is a copy of it in which Hydra's own code sets the values.
    """

    def __init__(self, sweep: DictConfig) -> None:
        self._sweep = sweep
        self._loader = GlobalHydra.instance().config_loader()
        self._parser = OverridesParser.create(config_loader=self._loader)
        self._parsed: dict[str, Override] = {}
        self._is_group: dict[str, bool] = {}
        self._bases: dict[tuple[str, ...], DictConfig] = {}
        self._bare: dict[tuple[str, ...], DictConfig] = {}
        self._names: dict[str, str] = {}

    def runs(self) -> list[SweepRun]:
        """Return every run, as Hydra's basic sweeper expands the command line; raises UserError."""
        parameters = [f"{key}={value}" for key, value in (self._sweep.hydra.sweeper.params or {}).items()]
        given = list(self._sweep.hydra.overrides.task)
        try:
            parsed = self._parser.parse_overrides([*parameters, *given])
            for override in parsed:
                if override.is_sweep_override() and not list(override.sweep_iterator()):
                    raise UserError(
                        "A sweep over no values has no runs.",
                        key=override.key_or_group,
                        place=f"command line: {override.input_line}",
                        remedy="name one value or more: range(3), or 0,1,2",
                    )
                if override.is_sweep_override() and override.key_or_group == "name":
                    raise UserError(
                        "A sweep has one name.",
                        key="name",
                        place=f"command line: {override.input_line}",
                        remedy="give it one name, or start several commands",
                    )
            (jobs,) = BasicSweeper.split_arguments(parsed, None)
            return [self.run(overrides) for overrides in jobs]
        except HydraException as error:
            raise explain(error, given) from None

    def run(self, overrides: Sequence[str]) -> SweepRun:
        """Compose one run; raises UserError, or HydraException for what Hydra itself refuses."""
        groups, values = self._split(overrides)
        if groups not in self._bare:
            base = self._base(groups)
            self._bare[groups] = OmegaConf.masked_copy(base, [str(key) for key in base if key != "hydra"])
            OmegaConf.set_struct(self._bare[groups], True)
        bare = copy.deepcopy(self._bare[groups])
        ConfigLoaderImpl._apply_overrides_to_config(values, bare)
        return SweepRun(tuple(overrides), load_checked(bare, overrides))

    def name_runs(
        self, runs: Sequence[SweepRun], begun: Mapping[str, str], varying: Sequence[str] | None = None
    ) -> None:
        """Name the directories of these runs, in the config as `acexp.run`. See names.run_names."""
        named = [NamedRun(run.overrides, run.config.seed, identity(run.config)) for run in runs]
        for run, name in zip(runs, run_names(named, begun, varying), strict=True):
            self._names[self._dirname(self._sweep, run.overrides)] = name
        OmegaConf.register_new_resolver(
            "acexp.run", lambda dirname: self._names.get(dirname) or slug(dirname), replace=True
        )

    def node(self, overrides: Sequence[str], number: int) -> DictConfig:
        """Return the config of one run with its `hydra` part, as Hydra hands it to a job."""
        groups, values = self._split(overrides)
        node = copy.deepcopy(self._base(groups))
        ConfigLoaderImpl._apply_overrides_to_config(values, node)
        with open_dict(node.hydra):
            node.hydra.overrides.task = list(overrides)
            node.hydra.job.id = node.hydra.job.num = number
            node.hydra.job.override_dirname = self._dirname(node, overrides)
        return node

    def _dirname(self, node: DictConfig, overrides: Sequence[str]) -> str:
        """Return what Hydra names a job by: all of its overrides."""
        how = node.hydra.job.config.override_dirname
        parsed = [self._parse(override) for override in overrides]
        return get_overrides_dirname(parsed, how.exclude_keys, how.item_sep, how.kv_sep)

    def _split(self, overrides: Sequence[str]) -> tuple[tuple[str, ...], list[Override]]:
        """Return the overrides that choose from groups, and those that set values."""
        parsed = [(text, self._parse(text)) for text in overrides]
        groups = tuple(text for text, override in parsed if self._chooses(override.key_or_group))
        return groups, [override for text, override in parsed if text not in groups]

    def _chooses(self, key: str) -> bool:
        if key not in self._is_group:
            self._is_group[key] = bool(self._loader.get_group_options(key))
        return self._is_group[key]

    def _base(self, groups: tuple[str, ...]) -> DictConfig:
        if groups not in self._bases:
            self._bases[groups] = self._loader.load_sweep_config(self._sweep, list(groups))
        return self._bases[groups]

    def _parse(self, override: str) -> Override:
        if override not in self._parsed:
            (self._parsed[override],) = self._parser.parse_overrides([override])
        return self._parsed[override]


class SweepJobs:
    """The runs of a sweep as Hydra's jobs, with the directories, files and callbacks of Hydra's own launcher.

    Args:
        composer: The composer of the sweep.
        runs: All runs, in the order of their numbers.
        first_number: Hydra's job number of the first run.
        callbacks: Hydra's callbacks, called at the start and at the end of each job.
        task: The task that Hydra was started with, which callbacks receive.
    """

    def __init__(
        self,
        composer: SweepComposer,
        runs: Sequence[SweepRun],
        first_number: int,
        callbacks: Callbacks,
        task: TaskFunction,
    ) -> None:
        self.runs = tuple(runs)
        self._composer = composer
        self._first_number = first_number
        self._callbacks = callbacks
        self._task = task
        self._nodes: dict[int, DictConfig] = {}
        self._directories: dict[int, Path] = {}
        self._returns: dict[int, JobReturn] = {}

    def directory(self, run: int) -> Path:
        """Return the directory of a run; nothing is made yet."""
        if run in self._directories:
            return self._directories[run]
        node = self._composer.node(self.runs[run].overrides, self._first_number + run)
        HydraConfig.instance().set_config(node)
        directory = Path(node.hydra.sweep.dir, node.hydra.sweep.subdir).resolve()
        with read_write(node.hydra.runtime), open_dict(node.hydra.runtime):
            node.hydra.runtime.output_dir = str(directory)
        self._nodes[run], self._directories[run] = node, directory
        return directory

    def begin(self, run: int) -> None:
        """Make the run's directory and Hydra's files in it; raises OSError where that fails."""
        node = self._nodes[run]
        HydraConfig.instance().set_config(node)
        task = OmegaConf.masked_copy(node, [str(key) for key in node if key != "hydra"])
        hydra = OmegaConf.masked_copy(node, ["hydra"])
        output = Path(node.hydra.runtime.output_dir)
        output.mkdir(parents=True, exist_ok=True)
        if node.hydra.output_subdir is not None:
            folder = output / node.hydra.output_subdir
            folder.mkdir(exist_ok=True)
            for name, part in (("config", task), ("hydra", hydra), ("overrides", node.hydra.overrides.task)):
                (folder / f"{name}.yaml").write_text(OmegaConf.to_yaml(part), encoding="utf-8")
        self._callbacks.on_job_start(config=node, task_function=self._task)
        self._returns[run] = JobReturn(
            overrides=list(self.runs[run].overrides),
            cfg=task,
            hydra_cfg=hydra,
            working_dir=str(Path.cwd()),
            task_name=node.hydra.job.name,
        )

    def end(self, run: int, value: object) -> None:
        """Report the run's end to Hydra's callbacks, as completed: Hydra's sweepers raise for any other status."""
        returned = self._returns.get(run)
        if returned is None:
            return
        returned.status, returned.return_value = JobStatus.COMPLETED, value
        HydraConfig.instance().set_config(self._nodes[run])
        self._callbacks.on_job_end(config=self._nodes.pop(run), job_return=returned)

    @property
    def returns(self) -> list[JobReturn]:
        """The results of the jobs that have ended, in their order; after Ctrl-C some may have begun without ending."""
        returns = [self._returns[run] for run in sorted(self._returns)]
        return [returned for returned in returns if returned.status is not JobStatus.UNKNOWN]
