"""GIF that stays small: narrow, few frames and colours; it needs no other program."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from acexp.system.files import replace_file
from acexp.video.moment import Layout, Moment, frame, narrowed

MOST_WIDTH = 320
MOST_FPS = 10
MOST_FRAMES = 600
"""Even, so that halving them keeps the newest. A longer episode keeps every second one, again and again."""

COLOURS = 128
SAMPLED = 16
"""Frames that the colours are chosen from."""

SLOWEST_MS = 200
"""How long a frame is shown at most, unless env steps are slower: long episodes are played faster than they were."""

LAST_MS = 1500


@contextmanager
def writing_gif(path: Path, size: tuple[int, int], fps: float) -> Iterator[Callable[[Moment], None]]:
    """What takes moments, for pictures of this width and height; the file is there when all went well.

    Raises OSError where it cannot be written.
    """
    chosen = _Chosen(narrowed(size, MOST_WIDTH), math.ceil(fps / MOST_FPS))
    yield chosen.add
    slowest = max(SLOWEST_MS, chosen.first_stride * 1000 / fps)
    replace_file(path, _encoded(chosen.frames(), min(chosen.stride * 1000 / fps, slowest)))


class _Chosen:
    """Frames evenly spread over an episode, however long it gets, and its last one."""

    def __init__(self, layout: Layout, stride: int) -> None:
        self.stride = self.first_stride = stride
        self._layout = layout
        self._kept: list[Image.Image] = []
        self._last: Moment | None = None

    def add(self, moment: Moment) -> None:
        """Keep the moment's frame if its turn has come."""
        self._last = moment
        if moment.step % self.stride:
            return
        self._last = None
        self._kept.append(frame(moment, self._layout))
        if len(self._kept) > MOST_FRAMES:
            self._kept = self._kept[::2]
            self.stride *= 2

    def frames(self) -> list[Image.Image]:
        """What was kept, and the last one in any case."""
        return self._kept + ([] if self._last is None else [frame(self._last, self._layout)])


def _encoded(frames: list[Image.Image], milliseconds: float) -> bytes:
    """The frames, each shown for so long, as a GIF that begins again at its end.

    One palette for all, and no dithering: what stands still then stays equal from frame to frame, and costs nothing.
    """
    palette = _palette(frames)
    first, *others = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in frames]
    durations = [round(milliseconds / 10) * 10] * len(others) + [LAST_MS]  # the format counts hundredths of a second
    file = io.BytesIO()
    first.save(file, "gif", save_all=True, append_images=others, duration=durations, loop=0)
    return file.getvalue()


def _palette(frames: list[Image.Image]) -> Image.Image:
    sample = frames[:: math.ceil(len(frames) / SAMPLED)]
    width, height = sample[0].size
    strip = Image.new("RGB", (width, height * len(sample)))
    for i, image in enumerate(sample):
        strip.paste(image, (0, height * i))
    return strip.quantize(COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
