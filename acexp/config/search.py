"""What a search looks through, in Hydra's grammar, and what `hydra.sweeper.*` sets for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep, Transformer
from hydra.errors import HydraException
from hydra.types import TaskFunction
from omegaconf import DictConfig

from acexp.config.checks import require_choice, require_least
from acexp.config.launcher import LauncherConfig, launcher_in
from acexp.config.load import settings_of, typed
from acexp.config.messages import explain
from acexp.config.schema import RunConfig
from acexp.config.sweep import SweepComposer, SweepJobs
from acexp.core.errors import UserError

KEY = "hydra.sweeper"
SAMPLERS = ("tpe", "random")
PRUNERS = ("none", "median", "hyperband")
SEED = "seed"


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """How a search goes.

    Attributes:
        n_trials: in all, over all workers and restarts.
        batch: trials that are asked for, and trained, together.
        sampler: `tpe` learns from the trials before, `random` does not.
        sampler_seed: None draws one.
        pruner: of trials that fall behind, at every evaluation: `none`, `median` or `hyperband`.
        storage: a URL of a database that workers share; None keeps a file beside the runs.
        study: its name in the database; None takes that of the sweep's folder.
        params: the space, `key: interval(1e-4, 1e-2)` and so on, beside what the command line says.
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
    """Every number from low to high.

    Attributes:
        low, high: both of them included.
        is_log: whether the logarithm is drawn evenly.
        step: between whole numbers; None for any number.
    """

    low: float
    high: float
    is_log: bool = False
    step: int | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some values, as the command line would say them."""

    values: tuple[str, ...]


Dimension = Interval | Choice


@dataclass(frozen=True, slots=True)
class Space:
    """What trials are made of.

    Attributes:
        fixed: overrides that all have.
        seeds: overrides, one for each run of a trial.
        dimensions: what trials differ in, by key.
    """

    fixed: tuple[str, ...]
    seeds: tuple[str, ...]
    dimensions: Mapping[str, Dimension]

    def runs(self, chosen: Mapping[str, object]) -> list[tuple[str, ...]]:
        """The overrides of a trial's runs."""
        own = tuple(f"{key}={value}" for key, value in chosen.items())
        return [(*self.fixed, *own, seed) for seed in self.seeds]

    @property
    def corners(self) -> list[dict[str, object]]:
        """Two trials between which all others lie."""
        return [
            {key: _end(dimension, first=first) for key, dimension in self.dimensions.items()} for first in (True, False)
        ]


@dataclass(frozen=True, slots=True)
class Search:
    """All that a multirun says of its search.

    Attributes:
        config: how it goes.
        space: what it looks through.
        launcher: who trains the trials.
        composer: makes runs of overrides.
        callbacks: Hydra's.
        task: what Hydra was asked to call.
    """

    config: SearchConfig
    space: Space
    launcher: LauncherConfig
    composer: SweepComposer
    callbacks: Callbacks
    task: TaskFunction

    def jobs(self, choices: Sequence[Mapping[str, object]], first_number: int = 0) -> SweepJobs:
        """The runs of these trials, trial by trial."""
        runs = [self.composer.run(overrides) for chosen in choices for overrides in self.space.runs(chosen)]
        return SweepJobs(self.composer, runs, first_number, self.callbacks, self.task)

    def check(self) -> RunConfig:
        """One of its runs; raises UserError unless the runs at both ends of the space can be composed."""
        try:
            return self.jobs(self.space.corners).runs[0].config
        except HydraException as error:
            raise explain(error, self.space.fixed) from None


def search_from(node: DictConfig, callbacks: Callbacks, task: TaskFunction) -> Search:
    """What a multirun's config says of its search; raises UserError."""
    config = typed(SearchConfig, settings_of(node.hydra.sweeper), KEY)
    launcher = launcher_in(node)
    if launcher is None:
        raise UserError("A search trains populations.", key="hydra/launcher", remedy="say hydra/launcher=population")
    return Search(
        config=config,
        space=space_of(config.params, list(node.hydra.overrides.task)),
        launcher=launcher,
        composer=SweepComposer(node),
        callbacks=callbacks,
        task=task,
    )


def space_of(params: Mapping[str, str], overrides: Sequence[str]) -> Space:
    """The space that YAML and command line describe; the command line wins. Needs Hydra to be initialized."""
    loader = GlobalHydra.instance().config_loader()
    assert isinstance(loader, ConfigLoaderImpl)
    said = [*(f"{key}={value}" for key, value in params.items()), *overrides]
    try:
        parsed = {one.key_or_group: one for one in OverridesParser.create(config_loader=loader).parse_overrides(said)}
        seed = parsed.pop(SEED, None)
        space = Space(
            fixed=tuple(str(one.input_line) for one in parsed.values() if not one.is_sweep_override()),
            seeds=tuple(f"{SEED}={value}" for value in _seeds(seed)),
            dimensions={key: _dimension(one) for key, one in parsed.items() if one.is_sweep_override()},
        )
    except HydraException as error:
        raise explain(error, said) from None
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
    return _values(override) if override.is_discrete_sweep() else (str(override.value()),)


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
