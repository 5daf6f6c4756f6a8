"""A channel between a sweep and a worker on another machine: files in a folder that both can access."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from acexp.sweeps.worker import Progress
from acexp.system.files import read_json, write_json

FOLDER = ".populations"
BEGUN = "begun"
PROGRESS = "progress.json"
STOP = "stop"


@dataclass(frozen=True, slots=True)
class FileChannel:
    """The channel of one population. The worker uses it as a worker.Parent.

    Attributes:
        folder: The folder of the files. Once the sweep has removed it, the worker's calls raise OSError.
    """

    folder: Path

    # Called by the worker.

    def begin(self) -> None:
        """Report that training begins."""
        (self.folder / BEGUN).touch()

    def report(self, progress: Progress) -> None:
        """Report progress; raises OSError if the sweep has removed the folder."""
        write_json(self.folder / PROGRESS, progress._asdict())

    def stop_requested(self) -> bool:
        """Return True once the sweep has asked the worker to stop."""
        return (self.folder / STOP).exists()

    # Called by the sweep.

    def open(self) -> None:
        """Make the folder; raises OSError where that fails."""
        self.folder.mkdir(parents=True, exist_ok=True)

    def has_begun(self) -> bool:
        """Return True once a worker has begun to train the population."""
        return (self.folder / BEGUN).exists()

    def progress(self) -> Progress | None:
        """Return the last progress that the worker reported; None before the first."""
        try:
            content = read_json(self.folder / PROGRESS)
            return Progress(**content) if content else None
        except (OSError, json.JSONDecodeError):
            return None  # a network file system may be late; the next call finds it

    def request_stop(self) -> None:
        """Ask the worker to save its runs and stop."""
        (self.folder / STOP).touch()

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
