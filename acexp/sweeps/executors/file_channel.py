"""Words between a sweep and a population on another machine: files in a folder that both of them see."""

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
    """For one population. The worker's side is a worker.Parent.

    Attributes:
        folder: of the files; whoever takes it away does not listen any more.
    """

    folder: Path

    # The worker's side.

    def begin(self) -> None:
        """Note that training begins."""
        (self.folder / BEGUN).touch()

    def tell(self, progress: Progress) -> None:
        """Leave word of how it goes; raises OSError where the folder is gone."""
        write_json(self.folder / PROGRESS, progress._asdict())

    def stop_requested(self) -> bool:
        """Whether somebody asked for it."""
        return (self.folder / STOP).exists()

    # The sweep's side.

    def open(self) -> None:
        """Make the folder; raises OSError where it cannot."""
        self.folder.mkdir(parents=True, exist_ok=True)

    def has_begun(self) -> bool:
        """Whether a worker has taken the population up."""
        return (self.folder / BEGUN).exists()

    def progress(self) -> Progress | None:
        """What the worker told last; None before that."""
        try:
            told = read_json(self.folder / PROGRESS)
            return Progress(**told) if told else None
        except (OSError, json.JSONDecodeError):
            return None  # a file server may be late; it will be there next time

    def request_stop(self) -> None:
        """Ask the worker to save its runs and leave them."""
        (self.folder / STOP).touch()

    def close(self) -> None:
        """Take the folder away."""
        shutil.rmtree(self.folder, ignore_errors=True)
