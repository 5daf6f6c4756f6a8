"""The runs of a sweep, before any of them starts."""

from __future__ import annotations

from collections.abc import Iterator

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig

from acexp.config.application import load_checked
from acexp.config.messages import explain
from acexp.config.schema import RunConfig


def runs_of(sweep: DictConfig) -> Iterator[RunConfig]:
    """Compose and load every run of a multirun, as Hydra's basic sweeper expands it; raises UserError."""
    loader = GlobalHydra.instance().config_loader()
    parameters = [f"{key}={value}" for key, value in (sweep.hydra.sweeper.params or {}).items()]
    try:
        parsed = OverridesParser.create(config_loader=loader).parse_overrides(
            [*parameters, *sweep.hydra.overrides.task]
        )
        for batch in BasicSweeper.split_arguments(parsed, None):
            for overrides in batch:
                yield load_checked(loader.load_sweep_config(sweep, list(overrides)), list(overrides))
    except HydraException as error:
        raise explain(error, list(sweep.hydra.overrides.task)) from None
