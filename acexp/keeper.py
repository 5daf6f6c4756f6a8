"""Layer 5: saves the runs of a population, each into its own directory."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from acexp import checkpoint
from acexp.config import CheckpointConfig
from acexp.metrics import Recorder
from acexp.population import Population, save


class Keeper:
    """Saves the members of a population, at intervals and when asked to."""

    def __init__(
        self, population: Population, recorder: Recorder, directories: Sequence[Path], config: CheckpointConfig
    ) -> None:
        self._population, self._recorder, self._directories = population, recorder, directories
        self._every = config.every or math.inf
        self._seconds = math.inf if config.minutes is None else 60.0 * config.minutes
        self._saved_step, self._saved_at = recorder.step, time.monotonic()

    def save_if_due(self) -> None:
        """Save when an interval is over."""
        now = self._recorder.step
        passed = now // self._every > self._saved_step // self._every
        if passed or time.monotonic() - self._saved_at >= self._seconds:
            self.save()

    def save(self) -> None:
        """Save every member but those that have diverged, which keep the checkpoint that they have."""
        named = self._population.architecture.parameters.named()
        normalizer = self._population.observe.state()
        for m, (state, directory) in enumerate(zip(save(self._population), self._directories, strict=True)):
            if not _is_sound(state["tensors"]):
                continue
            content = {
                "format": 1,
                "step": self._recorder.step,
                "parameters": {name: tensor[m].cpu().clone() for name, tensor in named.items()},
                "normalizer": {name: tensor[m].cpu().clone() for name, tensor in normalizer.items()},
                "member": state,
                "recorder": self._recorder.state(m),
            }
            checkpoint.write(directory, content, self._recorder.step)
        self._saved_step, self._saved_at = self._recorder.step, time.monotonic()


def _is_sound(tensors: Mapping[str, Tensor]) -> bool:
    return bool(tensors["learning"]) and all(bool(tensor.isfinite().all()) for tensor in tensors.values())
