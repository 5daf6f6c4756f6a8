"""Saves the runs of a population, each into its own directory."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence

from torch import Tensor

from acexp.algorithm.population import CollectorState, MemberState, Population, collector_state, save
from acexp.config import essence, to_yaml
from acexp.metrics import Recorder
from acexp.runs import checkpoint, saved_policy
from acexp.runs.run import Run

FORMAT = 1

SLOW_SECONDS = 0.5
"""How long an update takes whose rollout can be left half done: to finish it would keep the user waiting."""


class Checkpointer:
    """Saves the members of a population, at intervals and on demand.

    Args:
        population: The population that is saved.
        recorder: The recorder, whose step and unwritten measurements are saved too.
        runs: The members' runs with resolved configs. A checkpoint keeps its config, so that a change is noticed.
    """

    def __init__(self, population: Population, recorder: Recorder, runs: Sequence[Run]) -> None:
        self._population, self._recorder = population, recorder
        self._directories = [run.directory for run in runs]
        self._configs = [to_yaml(essence(run.config)) for run in runs]
        intervals = runs[0].config.checkpoint
        self._every = intervals.every or math.inf
        self._seconds = math.inf if intervals.minutes is None else 60.0 * intervals.minutes
        self._saved_step, self._saved_at = recorder.step, time.monotonic()
        self._before_rollout: CollectorState | None = None
        self._update_began_at = time.monotonic()

    @property
    def saved_step(self) -> int:
        """The env step of the last checkpoint; 0 if there is none."""
        return self._saved_step

    @property
    def is_due(self) -> bool:
        """Whether an interval has passed since the last checkpoint."""
        passed = self._recorder.step // self._every > self._saved_step // self._every
        return passed or time.monotonic() - self._saved_at >= self._seconds

    def begin_update(self) -> None:
        """Keep what the next rollout changes, if updates are slow, so that the rollout can be left half done."""
        now = time.monotonic()
        is_slow, self._update_began_at = now - self._update_began_at >= SLOW_SECONDS, now
        is_kept = is_slow and self._saved_step < self._recorder.step and self._population.process_group.world_size == 1
        self._before_rollout = collector_state(self._population) if is_kept else None

    @property
    def can_leave_rollout(self) -> bool:
        """Whether nothing but the rollout that is being collected is lost with it.

        Several processes cannot leave a rollout, since they have to end at the same update.
        """
        is_saved = self._before_rollout is not None or self._saved_step == self._recorder.step
        return is_saved and self._population.process_group.world_size == 1

    def save_before_rollout(self) -> None:
        """Save every member as it was before the rollout that was left half done; see `can_leave_rollout`."""
        if self._before_rollout is not None:
            self._save(save(self._population, self._before_rollout))

    def save(self) -> None:
        """Save every member except those that have diverged, which keep their last checkpoint.

        All processes of a run have to call this; the one of rank 0 writes.
        """
        self._save(save(self._population))

    def _save(self, states: Sequence[MemberState]) -> None:
        step = self._recorder.step
        for state in states:
            if not checkpoint.is_plain(state["environments"]):
                # Of these environments only, the future is lost: a resumed run begins new episodes.
                state["environments"] = None
        members = zip(states, self._configs, self._directories, strict=True)
        for m, (state, config, directory) in enumerate(members):
            if not _is_finite(state["tensors"]):
                self._recorder.diverge(m, "a parameter or a statistic")
            if m in self._recorder.divergences or self._population.process_group.rank:
                continue
            content = {
                "format": FORMAT,
                "step": step,
                "config": config,
                "member": state,
                "recorder": self._recorder.state(m),
            }
            checkpoint.write(directory, content, step)
            notes = {"format": "pt", "step": str(step), "config": config}
            saved_policy.write(directory, saved_policy.member_tensors(self._population.policy, m), notes)
        self._saved_step, self._saved_at = step, time.monotonic()


def _is_finite(tensors: Mapping[str, Tensor]) -> bool:
    return bool(tensors["learning"]) and all(bool(tensor.isfinite().all()) for tensor in tensors.values())
