"""The mailboxes of the populations that are on other machines, as their sweep sees them."""

from __future__ import annotations

import contextlib
import os
import platform
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from acexp.sweeps.executors.base import Began, Event, Progressed
from acexp.sweeps.executors.mailbox import FOLDER, Mailbox
from acexp.sweeps.worker import Job, Progress
from acexp.system.files import unwritable


@dataclass(slots=True)
class _Box:
    mailbox: Mailbox
    has_begun: bool = False
    progress: Progress | None = None


class Post:
    """Opens them, empties them, closes them."""

    def __init__(self) -> None:
        self._sender = f"{platform.node()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self._boxes: dict[int, _Box] = {}

    def open(self, number: int, job: Job) -> Mailbox:
        """A mailbox beside the population's runs; raises UserError where there can be none."""
        mailbox = Mailbox(job.directories[0].parent / FOLDER / f"{self._sender}-{number}")
        try:
            mailbox.open()
        except OSError as error:
            raise unwritable("The sweep's folder", error, mailbox.folder.parent, key="hydra.sweep.dir") from error
        self._boxes[number] = _Box(mailbox)
        return mailbox

    def news(self) -> Iterator[Event]:
        """What has come in since the last time."""
        for number, box in self._boxes.items():
            if not box.has_begun and box.mailbox.has_begun():
                box.has_begun = True
                yield Began(number)
            if box.has_begun:
                progress = box.mailbox.progress()
                if progress is not None and progress != box.progress:
                    box.progress = progress
                    yield Progressed(number, progress)

    def has_begun(self, number: int) -> bool:
        """Whether somebody has taken the population up."""
        return self._boxes[number].mailbox.has_begun()

    def ask_for_an_end(self) -> list[int]:
        """Leave word in every mailbox; returns the populations that nobody has taken up."""
        for box in self._boxes.values():
            with contextlib.suppress(OSError):
                box.mailbox.ask_for_an_end()
        return [number for number in self._boxes if not self.has_begun(number)]

    def close(self, number: int) -> None:
        """The population is over."""
        mailbox = self._boxes.pop(number).mailbox
        mailbox.close()
        with contextlib.suppress(OSError):
            mailbox.folder.parent.rmdir()  # the last one's
