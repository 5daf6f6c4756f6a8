"""The display of a running sweep: one live table in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from acexp.config.names import setting_of, short_keys, varying_keys
from acexp.runs.outcome import Outcome
from acexp.runs.run_directory import Status
from acexp.sweeps.worker import Progress

PLAIN_SECONDS = 10.0
LIVE_SECONDS = 0.25
FAILURES = (Status.FAILED, Status.DIVERGED)


@dataclass(slots=True)
class _Row:
    """The table row of a population that trains."""

    label: str
    n_members: int
    total_steps: int
    progress: Progress | None = None

    @property
    def restored_steps(self) -> int:
        return 0 if self.progress is None else self.progress.first_step * self.n_members

    @property
    def steps_done(self) -> int:
        return 0 if self.progress is None else self.progress.step * self.n_members - self.restored_steps


class SweepView:
    """Displays the progress of a sweep's populations.

    Args:
        console: The console to print to.
        overrides: The overrides of every run, from which the labels of populations are made.
        total_steps: The env steps of every run.
    """

    def __init__(self, console: Console, overrides: Sequence[Sequence[str]], total_steps: Sequence[int]) -> None:
        self._console = console
        self._overrides = overrides
        self._total_steps = total_steps
        self._varying = varying_keys(overrides)
        self._rows: dict[int, _Row] = {}
        self._counts: Counter[str] = Counter()
        self._steps_done = self._earlier_steps = 0
        self._started = self._printed = time.perf_counter()
        # rich's own thread would draw the table while a line is printed here. Each of both moves the cursor up by the
        # lines that it knows of, and where they differ, an old line stays.
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None

    def __enter__(self) -> SweepView:
        if self._live is not None:
            self._live.update(self._table())
            self._live.start(refresh=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def skipped(self, earlier: Mapping[int, Outcome]) -> None:
        """Count and print the runs that are not trained now, because they ended earlier or cannot be resumed."""
        self._counts.update(f"{outcome.status} before" for outcome in earlier.values())
        self._earlier_steps = sum(self._total_steps[run] for run in earlier)
        if earlier:
            counts = Counter(str(outcome.status) for outcome in earlier.values())
            self._print(f"left as they are: {', '.join(f'{n} {status}' for status, n in counts.items())}")

    def began(self, population: int, members: Sequence[int]) -> None:
        """Add a row for a population that has begun to train."""
        self._rows[population] = _Row(
            label=label([self._overrides[member] for member in members], self._varying),
            n_members=len(members),
            total_steps=self._total_steps[members[0]],
        )

    def progressed(self, population: int, progress: Progress) -> None:
        """Update the row of a population."""
        self._rows[population].progress = progress

    def lost(self, population: int, members: Sequence[int], cause: str) -> None:
        """Remove the row of a population whose worker was lost, and print the cause."""
        self._rows.pop(population, None)
        name = label([self._overrides[member] for member in members], self._varying)
        self._print(f"lost: {name}: {cause}; going on from the checkpoints")

    def ended(self, population: int, outcomes: Mapping[int, Outcome]) -> None:
        """Remove the row of a population and print how its runs ended, also those that failed before it began."""
        self._counts.update(str(outcome.status) for outcome in outcomes.values())
        row = self._rows.pop(population, None)
        restored = row.restored_steps if row else 0
        self._steps_done += max(sum(outcome.steps for outcome in outcomes.values()) - restored, 0)
        self._earlier_steps += restored
        if not outcomes:
            return
        name = label([self._overrides[member] for member in outcomes], self._varying)
        by_status = Counter(str(outcome.status) for outcome in outcomes.values())
        counts = ", ".join(f"{n} {status}" for status, n in by_status.items())
        returns = [outcome.mean_return for outcome in outcomes.values() if outcome.mean_return is not None]
        mean = f", mean return {sum(returns) / len(returns):.1f}" if returns else ""
        rate = max((outcome.steps_per_second for outcome in outcomes.values()), default=0.0)
        self._print(f"{counts}: {name}{mean}" + (f", {rate:,.0f} steps/s" if rate else ""))

    def stopping(self, n_populations: int) -> None:
        """Print what is awaited now that the sweep was asked to stop."""
        self._print(
            f"stopping: the runs are saved when the updates of their populations ({n_populations}) have ended. "
            "A second Ctrl-C ends them at once, and what was trained after their last checkpoints is lost."
        )

    def tick(self) -> None:
        """Refresh the display: the live table every LIVE_SECONDS, or a plain line every PLAIN_SECONDS."""
        now = time.perf_counter()
        if now - self._printed < (PLAIN_SECONDS if self._live is None else LIVE_SECONDS):
            return
        self._printed = now
        if self._live is None:
            self._print(self._headline())
        else:
            self._live.update(self._table(), refresh=True)

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _headline(self) -> str:
        n_running = sum(row.n_members for row in self._rows.values())
        n_waiting = len(self._overrides) - n_running - self._counts.total()
        counts = [*self._counts.items(), ("running", n_running), ("waiting", n_waiting)]
        done = self._steps_done + sum(row.steps_done for row in self._rows.values())
        earlier = self._earlier_steps + sum(row.restored_steps for row in self._rows.values())
        seconds = time.perf_counter() - self._started
        left = seconds * (sum(self._total_steps) - earlier - done) / done if done else None
        states = ", ".join(f"{n} {status}" for status, n in counts if n)
        headline = f"{len(self._overrides)} runs: {states}"
        if left is None:
            return headline
        return f"{headline}; {done / max(seconds, 1e-9):,.0f} steps/s, {max(left, 0):,.0f} s left"

    def _table(self) -> RenderableType:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        table.add_column("population", overflow="fold")  # in a narrow terminal, names are wrapped rather than cut
        for heading in ("runs", "steps", "steps/s", "return"):
            table.add_column(heading, justify="right", no_wrap=True)
        for row in self._rows.values():
            progress = row.progress
            if progress is None:
                table.add_row(Text(row.label), str(row.n_members), "starting", "", "")
                continue
            recent = "-" if progress.mean_return is None else f"{progress.mean_return:.1f}"
            table.add_row(
                Text(row.label),
                str(row.n_members),
                f"{progress.step / row.total_steps:4.0%} of {row.total_steps:,}",
                f"{progress.steps_per_second:,.0f}",
                recent,
            )
        return Group(Text(self._headline(), style="bold", no_wrap=False, overflow="fold"), table)


def label(overrides: Sequence[Sequence[str]], varying: Sequence[str]) -> str:
    """Return a label that distinguishes these runs from the others of their sweep, such as `arch=shared, 5 x seed`."""
    settings = [dict(map(setting_of, run)) for run in overrides]
    parts = []
    for key, short in short_keys(varying).items():
        found = list(dict.fromkeys(each[key] for each in settings if key in each))
        if len(found) == 1:
            parts.append(f"{short}={found[0]}")
        elif found:
            parts.append(f"{len(found)} x {short}")
    return ", ".join(parts) or "the only run"
