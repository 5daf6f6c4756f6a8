"""Averages the measurements of updates and passes each member's values to its writers at every log interval."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from acexp.core.arrays import as_tensor
from acexp.core.losses import Objective
from acexp.core.types import EnvironmentFault, Episode, UpdateStatistics
from acexp.metrics import tags
from acexp.metrics.console import Display
from acexp.metrics.divergence import Divergence, culprit
from acexp.metrics.writer import Writer

RECENT_EPISODES = 100
FOLD_AT = 2**18
SHOW_SECONDS = 0.2


def _mean(returns: Sequence[float]) -> float:
    """Return the mean, rounded once; NaN where returns are so large, or infinite, that there is none."""
    try:
        return math.fsum(returns) / len(returns)
    except (OverflowError, ValueError):
        return math.nan


def _plain(episode: Episode) -> tuple[float, int, dict[str, float]]:
    """Return an episode without its member as a checkpoint keeps it; those of earlier versions had no info."""
    return episode.episode_return, episode.length, dict(episode.info)


class Recorder:
    """Averages each tag over the updates since the last log, and episodes over those that ended since.

    A value that does not exist yet is left out. The last update is always logged. Updates are evaluated together at
    the end of an interval, or earlier if they take too much memory. A member with a value that is not finite is listed
    in `divergences` and no longer written.

    Args:
        objective: computes the losses of the updates' batches.
        writers: the writers of each member.
        every: the log interval in env steps.
        display: shows the progress on the console.
    """

    def __init__(self, objective: Objective, writers: Sequence[Sequence[Writer]], every: int, display: Display) -> None:
        self._objective = objective
        self._writers = tuple(tuple(member) for member in writers)
        self._every = every
        self._display = display
        self._pending: list[tuple[int, UpdateStatistics]] = []
        self._sums: dict[str, tuple[Tensor, Tensor]] = {}
        self._episodes: list[Episode] = []
        self._recent: tuple[deque[Episode], ...] = tuple(deque(maxlen=RECENT_EPISODES) for _ in writers)
        self._valid_steps = torch.zeros(len(writers), dtype=torch.int64)
        self._next_log = every
        self._started = self._logged_at = self._shown_at = time.perf_counter()
        self._logged_step = self._first_step = 0
        self.n_episodes = [0] * len(writers)
        self.divergences: dict[int, Divergence] = {}
        self.step = 0

    def record(
        self, step: int, episodes: Sequence[Episode], statistics: Sequence[UpdateStatistics], *, last: bool
    ) -> None:
        """Record an update, by its steps, and the episodes that ended in it; `step`: env steps per member so far."""
        self.step = step
        self._pending += [(step, each) for each in statistics]
        for episode in episodes:
            self._episodes.append(episode)
            self._recent[episode.member].append(episode)
            self.n_episodes[episode.member] += 1
        if self.will_log(step, last=last):
            self._log()
            self._next_log = (step // self._every + 1) * self._every
        elif len(self._pending) * math.prod(statistics[0].batch.values.shape) >= FOLD_AT:
            self._fold()
        if self.all_diverged:
            self._log()
        now = time.perf_counter()
        if now - self._shown_at >= SHOW_SECONDS or last:
            self._shown_at = now
            self._display.update(step, self.steps_per_second, self.recent_return())

    @property
    def all_diverged(self) -> bool:
        """Whether every member has diverged."""
        return len(self.divergences) == len(self._writers)

    def will_log(self, step: int, *, last: bool) -> bool:
        """Return True if an update that ends at env step `step` also ends a log interval."""
        return last or step >= self._next_log

    def diverge(self, member: int, what: str) -> None:
        """Record that `what` is not finite for a member at this env step, unless the member has diverged before."""
        self._fold()
        self._diverged(member, what, self.step)

    def fail(self, fault: EnvironmentFault) -> None:
        """Record the fault of a member's environment in the rollout after this env step, unless it has ended before."""
        self._fold()
        what = f"env step {self.step + fault.slot:,}: {fault.problem}"
        self.divergences.setdefault(fault.member, Divergence(what, self.step, is_environments=True))

    def note(self, member: int, scalars: Mapping[str, float]) -> None:
        """Write scalars of a member at this env step that updates do not measure, such as those of an evaluation."""
        self._fold()
        if member not in self.divergences:
            finite = {tag: value for tag, value in scalars.items() if math.isfinite(value)}
            for writer in self._writers[member]:
                writer.write(self.step, finite, {})

    def end(self, member: int, step: int) -> None:
        """Write the final results of a member's run, which ended at env step `step`."""
        recent = self.recent_return(member)
        for writer in self._writers[member]:
            writer.end(step, {} if recent is None else {tags.FINAL_RETURN: recent})

    def set_status(self, member: int, status: str) -> None:
        """Pass on to the writers how a member's run ended."""
        for writer in self._writers[member]:
            writer.set_status(status)

    @property
    def seconds(self) -> float:
        """Seconds since training began or was resumed."""
        return time.perf_counter() - self._started

    @property
    def steps_per_second(self) -> float:
        """Env steps per second of all members together, since training began or was resumed."""
        return (self.step - self._first_step) * len(self._writers) / max(self.seconds, 1e-9)

    def recent_return(self, member: int | None = None) -> float | None:
        """Return the mean return of the last 100 episodes of a member, or of every member; None if there is none."""
        chosen = self._recent if member is None else (self._recent[member],)
        returns = [episode.episode_return for episodes in chosen for episode in episodes]
        return _mean(returns) if returns else None

    def logs_info(self, member: int, key: str) -> bool:
        """Return True if the last 100 episodes of a member have a number of this key, or if there are none."""
        recent = self._recent[member]
        return not recent or any(key in episode.info for episode in recent)

    @property
    def valid_steps(self) -> list[int]:
        """Number of slots of each member that were not resets."""
        self._fold()
        return [int(n) for n in self._valid_steps]

    def state(self, member: int) -> dict[str, Any]:
        """Return everything that a member's future log lines depend on, as plain values."""
        self._fold()
        divergence = self.divergences.get(member)
        return {
            "step": self.step,
            "logged_step": self._logged_step,
            "sums": {tag: (float(total[member]), int(count[member])) for tag, (total, count) in self._sums.items()},
            "episodes": [_plain(episode) for episode in self._episodes if episode.member == member],
            "recent": [_plain(episode) for episode in self._recent[member]],
            "valid_steps": int(self._valid_steps[member]),
            "n_episodes": self.n_episodes[member],
            "divergence": None if divergence is None else tuple(divergence),
        }

    def load(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Continue from the states of all members, which must be at the same env step."""
        self.step = self._first_step = states[0]["step"]
        self._logged_step = states[0]["logged_step"]
        self._next_log = (self.step // self._every + 1) * self._every
        self._sums = {
            tag: (
                torch.tensor([state["sums"][tag][0] for state in states], dtype=torch.float64),
                torch.tensor([state["sums"][tag][1] for state in states]),
            )
            for tag in states[0]["sums"]
        }
        self._episodes = [Episode(m, *pair) for m, state in enumerate(states) for pair in state["episodes"]]
        for member, state in enumerate(states):
            self._recent[member].extend(Episode(member, *pair) for pair in state["recent"])
            self._valid_steps[member] = state["valid_steps"]
            if state["divergence"] is not None:
                self.divergences[member] = Divergence(*state["divergence"])
        self.n_episodes = [state["n_episodes"] for state in states]

    def _fold(self) -> None:
        """Add the pending updates to the running sums, so that a long interval does not fill the memory.

        An update whose gradient was not finite is not counted, and neither are those after it, nor is an update
        without a valid slot.
        """
        if not self._pending:
            return
        steps, updates = zip(*self._pending, strict=True)
        self._pending = []
        learning = torch.stack([update.learning for update in updates])
        for u, member in learning.logical_not().nonzero().tolist():
            if member not in self.divergences:
                self._diverged(member, culprit(updates[u], member), steps[u])
        valid = torch.stack([as_tensor(update.batch.valid) for update in updates]).sum(-1)
        self._valid_steps += tags.valid_slots(updates).to("cpu", torch.int64)
        counted = learning & (valid > 0.0)
        self._add(tags.per_update(self._objective, updates), counted)

    def _add(self, measured: Mapping[str, Tensor], counted: Tensor) -> None:
        """Add the values of U updates to the sums, `[U, M]` each, where `counted`, bool `[U, M]`."""
        values = torch.stack([each.double() for each in measured.values()])
        exists = counted.repeat(len(measured), 1, 1)
        for i, tag in enumerate(measured):
            if tag in tags.UNDEFINED_AT_TIMES:
                exists[i] &= ~values[i].isnan()
        nothing = (torch.zeros(values.shape[-1], dtype=torch.float64), torch.zeros(values.shape[-1], dtype=torch.int64))
        totals, counts = map(torch.stack, zip(*(self._sums.get(tag, nothing) for tag in measured), strict=True))
        # Values are added one after the other, so that the sum does not depend on how often it was folded.
        added = torch.cat((totals.unsqueeze(1), torch.where(exists, values, 0.0).cpu()), 1).cumsum(1)[:, -1]
        self._sums |= dict(zip(measured, zip(added, counts + exists.sum(1).cpu(), strict=True), strict=True))

    def _log(self) -> None:
        """Write the averages since the last log; for a member that diverged in between, up to the step where it did."""
        self._fold()
        means = {tag: (total / count).tolist() for tag, (total, count) in self._sums.items()}
        counts = {tag: count.tolist() for tag, (_, count) in self._sums.items()}
        self._sums = {}
        now = time.perf_counter()
        rate = (self.step - self._logged_step) / max(now - self._logged_at, 1e-9)
        for member, writers in enumerate(self._writers):
            known = {tag: values[member] for tag, values in means.items() if counts[tag][member]}
            finite = {tag: value for tag, value in known.items() if math.isfinite(value)}
            for tag in known.keys() - finite.keys():
                self._diverged(member, tag, self.step)
            divergence = self.divergences.get(member)
            step = self.step if divergence is None else divergence.step
            if step > self._logged_step:
                for writer in writers:
                    writer.write(step, self._episode_scalars(member) | finite, {tags.STEPS_PER_SECOND: rate})
        self._logged_at, self._logged_step = now, self.step
        self._episodes = []

    def _diverged(self, member: int, what: str, step: int) -> None:
        self.divergences.setdefault(member, Divergence(what, step))

    def _episode_scalars(self, member: int) -> dict[str, float]:
        ended = [episode for episode in self._episodes if episode.member == member]
        scalars: dict[str, float] = {tags.VALID_STEPS: int(self._valid_steps[member])}
        if ended:
            scalars[tags.EPISODE_RETURN] = _mean([episode.episode_return for episode in ended])
            scalars[tags.EPISODE_LENGTH] = sum(episode.length for episode in ended) / len(ended)
            scalars |= tags.info([episode.info for episode in ended])
        return scalars
