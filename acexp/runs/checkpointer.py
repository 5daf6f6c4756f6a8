"""Layer 5: saves the runs of a population, each into its own directory."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from acexp.algorithm.population import Population, save
from acexp.config import RunConfig, essence, to_yaml
from acexp.metrics import Recorder
from acexp.runs import checkpoint


class Checkpointer:
    """Saves the members of a population, at intervals and when asked to.

    Args:
        population: what is saved.
        recorder: knows how far it has come, and what has been gathered since the last log.
        configs: resolved, of each member; a checkpoint keeps its own, so that a change is noticed.
        directories: of each member.
    """

    def __init__(
        self,
        population: Population,
        recorder: Recorder,
        configs: Sequence[RunConfig],
        directories: Sequence[Path],
    ) -> None:
        self._population, self._recorder, self._directories = population, recorder, directories
        self._configs = [to_yaml(essence(config)) for config in configs]
        intervals = configs[0].checkpoint
        self._every = intervals.every or math.inf
        self._seconds = math.inf if intervals.minutes is None else 60.0 * intervals.minutes
        self._saved_step, self._saved_at = recorder.step, time.monotonic()

    @property
    def is_due(self) -> bool:
        """Whether an interval is over."""
        passed = self._recorder.step // self._every > self._saved_step // self._every
        return passed or time.monotonic() - self._saved_at >= self._seconds

    def save(self) -> None:
        """Save every member but those that have diverged, which keep the checkpoint that they have.

        Of process_group, which all have to call this, the first one writes.
        """
        step = self._recorder.step
        normalizer = {f"normalizer.{name}": x for name, x in self._population.observe.state().items()}
        policy = {**self._population.architecture.parameters.named(), **normalizer}
        members = zip(save(self._population), self._configs, self._directories, strict=True)
        for m, (state, config, directory) in enumerate(members):
            if not _is_sound(state["tensors"]):
                self._recorder.diverge(m, "a parameter or a statistic")
            if m in self._recorder.divergences or self._population.process_group.rank:
                continue
            content = {
                "format": 1,
                "step": step,
                "config": config,
                "member": state,
                "recorder": self._recorder.state(m),
            }
            checkpoint.write(directory, content, step)
            notes = {"format": "pt", "step": str(step), "config": config}
            checkpoint.export(directory, {name: x[m].cpu() for name, x in policy.items()}, notes)
        self._saved_step, self._saved_at = self._recorder.step, time.monotonic()


def _is_sound(tensors: Mapping[str, Tensor]) -> bool:
    return bool(tensors["learning"]) and all(bool(tensor.isfinite().all()) for tensor in tensors.values())
