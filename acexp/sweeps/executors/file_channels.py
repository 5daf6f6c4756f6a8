"""The file channels of all populations of a sweep that train on other machines."""

from __future__ import annotations

import contextlib
import os
import platform
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from acexp.sweeps.executors.base import Began, Event, Progressed
from acexp.sweeps.executors.file_channel import FOLDER, FileChannel
from acexp.sweeps.worker import Job, Progress
from acexp.system.files import unwritable


@dataclass(slots=True)
class _Population:
    channel: FileChannel
    has_begun: bool = False
    progress: Progress | None = None


class FileChannels:
    """Opens and closes the channels, and turns what the workers report into events."""

    def __init__(self) -> None:
        self._prefix = f"{platform.node()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self._populations: dict[int, _Population] = {}

    def open(self, number: int, job: Job) -> FileChannel:
        """Open a channel beside the population's runs; raises UserError where that is impossible."""
        channel = FileChannel(job.runs[0].directory.parent / FOLDER / f"{self._prefix}-{number}")
        try:
            channel.open()
        except OSError as error:
            raise unwritable("The sweep's folder", error, channel.folder.parent, key="hydra.sweep.dir") from error
        self._populations[number] = _Population(channel)
        return channel

    def events(self) -> Iterator[Event]:
        """Yield the events since the last call."""
        for number, population in self._populations.items():
            if not population.has_begun and population.channel.has_begun():
                population.has_begun = True
                yield Began(number)
            if population.has_begun:
                progress = population.channel.progress()
                if progress is not None and progress != population.progress:
                    population.progress = progress
                    yield Progressed(number, progress)

    def has_begun(self, number: int) -> bool:
        """Return True once a worker has begun to train the population."""
        return self._populations[number].channel.has_begun()

    def request_stop(self) -> list[int]:
        """Ask every worker to stop; returns the populations that no worker has begun."""
        for population in self._populations.values():
            with contextlib.suppress(OSError):
                population.channel.request_stop()
        return [number for number in self._populations if not self.has_begun(number)]

    def close(self, number: int) -> None:
        """Close the channel of a population that has ended."""
        channel = self._populations.pop(number).channel
        channel.close()
        with contextlib.suppress(OSError):
            channel.folder.parent.rmdir()  # fails while other channels are open
