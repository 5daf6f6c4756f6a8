"""The settings `hydra.sweeper.*` of a search, and its search space, written in Hydra's override grammar."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep, Transformer
from hydra.errors import HydraException
from hydra.types import TaskFunction
from omegaconf import DictConfig

from acexp.config.checks import require_choice, require_least
from acexp.config.hydra_internals import Callbacks, ConfigLoaderImpl
from acexp.config.launcher import LauncherConfig, launcher_in
from acexp.config.load import settings_of
from acexp.config.messages import explain
from acexp.config.schema import RunConfig
from acexp.config.sweep import SweepComposer, SweepJobs, SweepRun
from acexp.config.typed import typed
from acexp.core.errors import UserError

KEY = "hydra.sweeper"
SAMPLERS = ("tpe", "random")
PRUNERS = ("none", "median", "hyperband")
SEED = "seed"
MOST_EXAMPLES = 256
"""The number of combinations up to which a search is checked for settings that nothing reads."""


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """Settings of a search.

    Attributes:
        n_trials: Total number of trials, over all workers and restarts.
        batch: Number of trials that are requested, and trained, together.
        sampler: `tpe` uses the results of earlier trials, `random` does not.
        sampler_seed: Seed of the sampler; None draws one.
        pruner: Which trials are pruned after each evaluation: `none`, `median` or `hyperband`.
        storage: URL of a database that several workers share; None takes a file in the sweep's directory.
        study: Name of the study in the database; None takes the name of the sweep's directory.
        params: The search space, such as `key: interval(1e-4, 1e-2)`, in addition to the command line.
    """

    n_trials: int = 32
    batch: int = 8
    sampler: str = "tpe"
    sampler_seed: int | None = None
    pruner: str = "none"
    storage: str | None = None
    study: str | None = None
    params: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_choice(self, SAMPLERS, "sampler")
        require_choice(self, PRUNERS, "pruner")
        require_least(self, 1, "n_trials", "batch")


@dataclass(frozen=True, slots=True)
class Interval:
    """A range of numbers to search.

    Attributes:
        low, high: The smallest and the largest number, both included.
        is_log: Whether numbers are drawn uniformly on a logarithmic scale.
        step: Step between whole numbers; None for real numbers.
    """

    low: float
    high: float
    is_log: bool = False
    step: int | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """A list of values to choose from, as they are written in overrides."""

    values: tuple[str, ...]


Dimension = Interval | Choice


@dataclass(frozen=True, slots=True)
class Space:
    """A search space.

    Attributes:
        fixed: Overrides that all trials share.
        seeds: Overrides of the seed, one for each run of a trial.
        dimensions: The intervals and choices that are searched, by key.
    """

    fixed: tuple[str, ...]
    seeds: tuple[str, ...]
    dimensions: Mapping[str, Dimension]

    def runs(self, chosen: Mapping[str, object]) -> list[tuple[str, ...]]:
        """Return the overrides of each run of the trial that has the values `chosen`."""
        own = tuple(f"{key}={value}" for key, value in chosen.items())
        return [(*self.fixed, *own, seed) for seed in self.seeds]

    @property
    def corners(self) -> list[dict[str, object]]:
        """The first and the last value of every dimension, as two trials between which all others lie."""
        return [
            {key: _end(dimension, first=first) for key, dimension in self.dimensions.items()} for first in (True, False)
        ]

    @property
    def examples(self) -> list[dict[str, object]]:
        """Trials with every combination of the choices, at the ends of the intervals; none if they are too many."""
        values = [
            each.values if isinstance(each, Choice) else [_end(each, first=first) for first in (True, False)]
            for each in self.dimensions.values()
        ]
        if math.prod(map(len, values)) > MOST_EXAMPLES:
            return []
        return [dict(zip(self.dimensions, chosen, strict=True)) for chosen in itertools.product(*values)]


@dataclass(frozen=True, slots=True)
class Search:
    """A search, as the config of a multirun describes it.

    Attributes:
        config: Settings of the search.
        space: The search space.
        launcher: Settings of the launcher, which trains the trials.
        composer: Composes runs from overrides.
        begun: Returns the identities of the runs in the sweep's folder, by the names of their directories.
        callbacks: Hydra's callbacks.
        task: The task that Hydra was started with.
    """

    config: SearchConfig
    space: Space
    launcher: LauncherConfig
    composer: SweepComposer
    begun: Callable[[], Mapping[str, str]]
    callbacks: Callbacks
    task: TaskFunction

    def jobs(self, choices: Sequence[Mapping[str, object]], first_number: int = 0) -> SweepJobs:
        """Return the runs of the trials with these values, trial by trial."""
        runs = [self.composer.run(overrides) for chosen in choices for overrides in self.space.runs(chosen)]
        self.composer.name_runs(runs, self.begun(), [*self.space.dimensions])
        return SweepJobs(self.composer, runs, first_number, self.callbacks, self.task)

    def examples(self) -> list[SweepRun]:
        """Return a run of every combination of the space's choices, to see what they read; see Space.examples."""
        return [self.composer.run(self.space.runs(chosen)[0]) for chosen in self.space.examples]

    def check(self) -> RunConfig:
        """Return one config of the search; raises UserError unless runs at both ends of the space can be composed."""
        try:
            return self.jobs(self.space.corners).runs[0].config
        except HydraException as error:
            raise explain(error, self.space.fixed) from None


def search_from(
    node: DictConfig, begun: Callable[[], Mapping[str, str]], callbacks: Callbacks, task: TaskFunction
) -> Search:
    """Return the search that the config of a multirun describes; raises UserError."""
    config = typed(SearchConfig, settings_of(node.hydra.sweeper), KEY)
    launcher = launcher_in(node)
    if launcher is None:
        raise UserError("A search trains populations.", key="hydra/launcher", remedy="set hydra/launcher=population")
    return Search(
        config=config,
        space=space_of(config.params, list(node.hydra.overrides.task)),
        launcher=launcher,
        composer=SweepComposer(node),
        begun=begun,
        callbacks=callbacks,
        task=task,
    )


def space_of(params: Mapping[str, str], overrides: Sequence[str]) -> Space:
    """Return the space given by YAML and by overrides, which take precedence. Hydra must be initialized."""
    loader = GlobalHydra.instance().config_loader()
    assert isinstance(loader, ConfigLoaderImpl)
    given = [*(f"{key}={value}" for key, value in params.items()), *overrides]
    try:
        parsed = {one.key_or_group: one for one in OverridesParser.create(config_loader=loader).parse_overrides(given)}
        seed = parsed.pop(SEED, None)
        space = Space(
            fixed=tuple(str(one.input_line) for one in parsed.values() if not one.is_sweep_override()),
            seeds=tuple(f"{SEED}={value}" for value in _seeds(seed)),
            dimensions={key: _dimension(one) for key, one in parsed.items() if one.is_sweep_override()},
        )
    except HydraException as error:
        raise explain(error, given) from None
    if not space.dimensions:
        raise UserError(
            "There is nothing to search through.",
            key=f"{KEY}.params",
            remedy="name keys and values: 'optim.learning_rate=tag(log,interval(1e-4,1e-2))' arch=separate,shared",
        )
    return space


def _seeds(override: Override | None) -> tuple[str, ...]:
    if override is None:
        return ("0",)
    return tuple(dict.fromkeys(_values(override))) if override.is_discrete_sweep() else (str(override.value()),)


def _dimension(override: Override) -> Dimension:
    value = override.value()
    if isinstance(value, IntervalSweep):
        low, high = value.start, value.end
        if low is None or high is None or low >= high or ("log" in value.tags and low <= 0):
            raise UserError(
                "An interval goes from a number to a greater one, on a logarithmic scale from above 0.",
                key=override.key_or_group,
                value=override.input_line,
            )
        is_whole = isinstance(low, int) and isinstance(high, int) and "float" not in value.tags
        return Interval(low, high, "log" in value.tags, 1 if is_whole else None)
    if isinstance(value, RangeSweep):
        numbers = list(value.range())
        if len(numbers) > 1 and all(isinstance(number, int) for number in numbers) and numbers[0] < numbers[-1]:
            return Interval(numbers[0], numbers[-1], step=int(value.step))
    return Choice(_values(override))


def _values(override: Override) -> tuple[str, ...]:
    values = tuple(str(value) for value in override.sweep_iterator(transformer=Transformer.encode))
    if not values:
        raise UserError("There is no value to choose.", key=override.key_or_group, value=override.input_line)
    return values


def _end(dimension: Dimension, *, first: bool) -> object:
    if isinstance(dimension, Choice):
        return dimension.values[0 if first else -1]
    end = dimension.low if first else dimension.high
    return end if dimension.step is None else int(end)
