"""Console output during training: a progress bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column

PLAIN_SECONDS = 10.0


class Display(Protocol):
    """Interface of a display that shows the progress of training."""

    def start(self, title: str, total_steps: int, first_step: int) -> None:
        """Begin to show a training that ends at env step `total_steps`, and begins or is resumed at `first_step`."""

    def note(self, line: str) -> None:
        """Show a line about the training, which stays."""

    def update(self, step: int, steps_per_second: float, mean_return: float | None) -> None:
        """Show the progress after `step` env steps; `mean_return` is None until an episode has ended."""

    def close(self) -> None:
        """Stop showing progress, after training has ended or failed."""


def _return_text(mean_return: float | None) -> str:
    return "return -" if mean_return is None else f"return {mean_return:.1f}"


def _first_line(title: str, total_steps: int) -> str:
    return f"{title}: training for {total_steps:,} env steps"


class Silent:
    """A display that shows nothing."""

    def start(self, title: str, total_steps: int, first_step: int) -> None:
        pass

    def note(self, line: str) -> None:
        pass

    def update(self, step: int, steps_per_second: float, mean_return: float | None) -> None:
        pass

    def close(self) -> None:
        pass


class RichDisplay:
    """A progress bar with steps, steps per second, the mean return of recent episodes, and the time left."""

    def __init__(self, console: Console) -> None:
        texts = ("{task.percentage:3.0f}% of {task.total:,}", "{task.fields[rate]}", "{task.fields[recent]}")
        self._progress = Progress(
            BarColumn(bar_width=None),  # as wide as the terminal allows; what it leaves is never cut
            *(TextColumn(text, table_column=Column(no_wrap=True)) for text in texts),
            TimeRemainingColumn(compact=True, table_column=Column(no_wrap=True)),
            console=console,
            expand=True,
            refresh_per_second=4,
        )
        self._task: TaskID | None = None

    def start(self, title: str, total_steps: int, first_step: int) -> None:
        self.note(_first_line(title, total_steps))
        self._task = self._progress.add_task(
            title, total=total_steps, completed=first_step, rate="", recent=_return_text(None)
        )
        self._progress.start()

    def note(self, line: str) -> None:
        self._progress.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def update(self, step: int, steps_per_second: float, mean_return: float | None) -> None:
        assert self._task is not None
        self._progress.update(
            self._task, completed=step, rate=f"{steps_per_second:,.0f} steps/s", recent=_return_text(mean_return)
        )

    def close(self) -> None:
        self._progress.stop()


class PlainDisplay:
    """A display that prints a line every 10 seconds, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._title = ""
        self._total = self._first_step = 0
        self._started = self._printed_at = 0.0
        self._printed_step = -1

    def start(self, title: str, total_steps: int, first_step: int) -> None:
        self._title, self._total, self._first_step = title, total_steps, first_step
        self._started = self._printed_at = time.perf_counter()
        self._printed_step = -1
        self._print(_first_line(title, total_steps))

    def note(self, line: str) -> None:
        self._print(line)

    def update(self, step: int, steps_per_second: float, mean_return: float | None) -> None:
        now = time.perf_counter()
        if (now - self._printed_at < PLAIN_SECONDS and step < self._total) or step == self._printed_step:
            return
        self._printed_at, self._printed_step = now, step
        left = (now - self._started) * max(self._total - step, 0) / max(step - self._first_step, 1)
        self._print(
            f"{self._title}: {step:,}/{self._total:,} steps, {steps_per_second:,.0f} steps/s, "
            f"{_return_text(mean_return)}, {left:,.0f} s left"
        )

    def _print(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        pass


def display_for(console: Console) -> Display:
    """Return a progress bar for a terminal, and plain lines for anything else."""
    return RichDisplay(console) if console.is_terminal else PlainDisplay(console)
