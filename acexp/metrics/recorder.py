"""Gathers what every update measured and, at each interval, hands every member's numbers to its writers."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from acexp.core.losses import Objective
from acexp.core.types import Episode, Rollout, UpdateStatistics
from acexp.metrics import tags
from acexp.metrics.console import Display

RECENT_EPISODES = 100
FOLD_AT = 2**18
SHOW_SECONDS = 0.2


class AllDiverged(Exception):
    """No member is left whose numbers are finite."""


class Divergence(NamedTuple):
    """What was no longer finite, and when."""

    what: str
    step: int

    def __str__(self) -> str:
        return f"{self.what} is not finite at env step {self.step:,}"


class Writer(Protocol):
    """Where one run's scalars go."""

    def write(self, step: int, scalars: Mapping[str, float], timings: Mapping[str, float]) -> None:
        """Write what was measured up to an env step; `timings` holds what the wall clock decides."""

    def close(self) -> None:
        """Flush and free."""


class Recorder:
    """Averages each tag over the updates since the last log, and episodes over those that ended since.

    A value that does not exist yet is left out. The last update is always logged. Nothing is computed between
    intervals but the number of valid slots. A member whose numbers are not finite is noted in `divergences` and no
    longer written; AllDiverged is raised when none is left.

    Args:
        objective: by which the updates' batches are scored.
        writers: those of each member.
        every: log interval in env steps.
        display: the console.
    """

    def __init__(self, objective: Objective, writers: Sequence[Sequence[Writer]], every: int, display: Display) -> None:
        self._objective = objective
        self._writers = tuple(tuple(member) for member in writers)
        self._every = every
        self._display = display
        self._pending: list[UpdateStatistics] = []
        self._sums: dict[str, tuple[Tensor, Tensor]] = {}
        self._episodes: list[Episode] = []
        self._recent: tuple[deque[Episode], ...] = tuple(deque(maxlen=RECENT_EPISODES) for _ in writers)
        self._valid_steps = torch.zeros(len(writers), dtype=torch.int64)
        self._next_log = every
        self._started = self._logged_at = self._shown_at = time.perf_counter()
        self._logged_step = 0
        self.n_episodes = [0] * len(writers)
        self.divergences: dict[int, Divergence] = {}
        self.step = 0

    def record(self, step: int, rollout: Rollout, statistics: UpdateStatistics, *, last: bool) -> None:
        """Take one update into account; `step` counts env steps per member, this update's included."""
        self.step = step
        self._pending.append(statistics)
        if not statistics.learning.all():
            self._diverged(statistics.learning.logical_not().nonzero().flatten().tolist(), "a gradient")
        self._valid_steps += rollout.valid.sum((0, 2)).cpu()
        for episode in rollout.episodes:
            self._episodes.append(episode)
            self._recent[episode.member].append(episode)
            self.n_episodes[episode.member] += 1
        if step >= self._next_log or last:
            self._log()
            self._next_log = (step // self._every + 1) * self._every
        elif len(self._pending) * statistics.batch.values.numel() >= FOLD_AT:
            self._fold()
        now = time.perf_counter()
        if now - self._shown_at >= SHOW_SECONDS or last:
            self._shown_at = now
            self._display.update(step, self.steps_per_second, self.recent_return())

    @property
    def seconds(self) -> float:
        """Since training began."""
        return time.perf_counter() - self._started

    @property
    def steps_per_second(self) -> float:
        """Env steps of all members together per second, since training began."""
        return self.step * len(self._writers) / max(self.seconds, 1e-9)

    def recent_return(self, member: int | None = None) -> float | None:
        """Mean return of the last 100 episodes of a member, or of every member; None before the first has ended."""
        chosen = self._recent if member is None else (self._recent[member],)
        returns = [episode.episode_return for episodes in chosen for episode in episodes]
        return math.fsum(returns) / len(returns) if returns else None

    @property
    def valid_steps(self) -> list[int]:
        """How many slots of each member were not resets."""
        return [int(n) for n in self._valid_steps]

    def _fold(self) -> None:
        """Add the pending updates to the running sums, so that a long interval does not fill the memory."""
        for tag, values in tags.per_update(self._objective, self._pending).items() if self._pending else ():
            exists = ~values.isnan() if tag in tags.UNDEFINED_AT_TIMES else torch.ones_like(values, dtype=torch.bool)
            total = torch.where(exists, values, 0.0).sum(0, dtype=torch.float64)
            count = exists.sum(0)
            before = self._sums.get(tag)
            self._sums[tag] = (total, count) if before is None else (before[0] + total, before[1] + count)
        self._pending = []

    def _log(self) -> None:
        self._fold()
        means = {tag: (total / count).tolist() for tag, (total, count) in self._sums.items()}
        self._sums = {}
        now = time.perf_counter()
        rate = (self.step - self._logged_step) / max(now - self._logged_at, 1e-9)
        self._logged_at, self._logged_step = now, self.step
        for member, writers in enumerate(self._writers):
            finite = {tag: values[member] for tag, values in means.items() if math.isfinite(values[member])}
            for tag in means.keys() - finite.keys() - tags.UNDEFINED_AT_TIMES:
                self._diverged([member], tag)
            if member not in self.divergences:
                for writer in writers:
                    writer.write(self.step, self._episode_scalars(member) | finite, {tags.STEPS_PER_SECOND: rate})
        self._episodes = []

    def _diverged(self, members: Sequence[int], what: str) -> None:
        for member in members:
            self.divergences.setdefault(member, Divergence(what, self.step))
        if len(self.divergences) == len(self._writers):
            raise AllDiverged

    def _episode_scalars(self, member: int) -> dict[str, float]:
        ended = [episode for episode in self._episodes if episode.member == member]
        scalars: dict[str, float] = {tags.VALID_STEPS: int(self._valid_steps[member])}
        if ended:
            scalars[tags.EPISODE_RETURN] = math.fsum(episode.episode_return for episode in ended) / len(ended)
            scalars[tags.EPISODE_LENGTH] = sum(episode.length for episode in ended) / len(ended)
        return scalars
