"""The writer for Weights & Biases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from acexp.metrics.writer import WRITERS, Experiment, Writer
from acexp.system.packages import Package

STEP = "env_step"
"""The x axis of every chart. W&B's own step only counts lines, so that a resumed run can go back to its checkpoint."""

LONGEST = 128
"""The most characters that W&B takes for a project, a group and a name."""

INIT_SECONDS = 10.0
"""How long W&B tries to reach its server. It does so at the end of the process too, which would last 90 seconds."""

KILLED, FAILED = 255, 1
"""The exit codes that W&B shows as `killed` and as `failed`; 0 is `finished`."""


@WRITERS.register("wandb")
class WandbWriter(Writer):
    """Weights & Biases: the sweep as a project, the experiment as a group (acexp[wandb])."""

    packages = (Package("wandb", "logging to Weights & Biases (optional)", "pip install 'acexp[wandb]'"),)
    is_remote = True

    def __init__(self, experiment: Experiment) -> None:
        import wandb

        # A resumed run keeps its group: what varies in its sweep may not be known any more.
        group: dict[str, Any] = {"group": experiment.group[:LONGEST]} if experiment.is_new else {}
        self._run = wandb.init(
            project="".join("-" if x in "/\\#?%:" else x for x in experiment.sweep)[:LONGEST],
            id=experiment.id,
            name=experiment.name[:LONGEST],
            config=dict(experiment.settings),
            dir=str(experiment.directory),
            resume="allow",
            allow_val_change=True,
            reinit="create_new",  # the runs of a population are open at once
            settings=wandb.Settings(console="off", silent=True, init_timeout=INIT_SECONDS),
            **group,
        )
        self._exit_code = FAILED
        self._run.define_metric(STEP, hidden=True)
        self._run.define_metric("*", step_metric=STEP)

    def write(self, step: int, scalars: Mapping[str, float], timings: Mapping[str, float]) -> None:
        self._run.log({STEP: step, **scalars, **timings})

    def end(self, step: int, results: Mapping[str, float]) -> None:
        self._run.summary.update(dict(results))

    def set_status(self, status: str) -> None:
        self._exit_code = {"done": 0, "diverged": FAILED, "failed": FAILED}.get(status, KILLED)

    def close(self) -> None:
        self._run.finish(self._exit_code)
