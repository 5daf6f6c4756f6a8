"""The mailboxes of the populations that are on other machines, as their sweep sees them."""

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
class _Box:
    channel: FileChannel
    has_begun: bool = False
    progress: Progress | None = None


class FileChannels:
    """Opens them, empties them, closes them."""

    def __init__(self) -> None:
        self._sender = f"{platform.node()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self._boxes: dict[int, _Box] = {}

    def open(self, number: int, job: Job) -> FileChannel:
        """A channel beside the population's runs; raises UserError where there can be none."""
        channel = FileChannel(job.directories[0].parent / FOLDER / f"{self._sender}-{number}")
        try:
            channel.open()
        except OSError as error:
            raise unwritable("The sweep's folder", error, channel.folder.parent, key="hydra.sweep.dir") from error
        self._boxes[number] = _Box(channel)
        return channel

    def news(self) -> Iterator[Event]:
        """What has come in since the last time."""
        for number, box in self._boxes.items():
            if not box.has_begun and box.channel.has_begun():
                box.has_begun = True
                yield Began(number)
            if box.has_begun:
                progress = box.channel.progress()
                if progress is not None and progress != box.progress:
                    box.progress = progress
                    yield Progressed(number, progress)

    def has_begun(self, number: int) -> bool:
        """Whether somebody has taken the population up."""
        return self._boxes[number].channel.has_begun()

    def request_stop(self) -> list[int]:
        """Leave word in every channel; returns the populations that nobody has taken up."""
        for box in self._boxes.values():
            with contextlib.suppress(OSError):
                box.channel.request_stop()
        return [number for number in self._boxes if not self.has_begun(number)]

    def close(self, number: int) -> None:
        """The population is over."""
        channel = self._boxes.pop(number).channel
        channel.close()
        with contextlib.suppress(OSError):
            channel.folder.parent.rmdir()  # the last one's
