"""GIF files that stay small, because they are narrow and have few frames and colours; no other program is needed."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from acexp.system.files import replace_file
from acexp.video.moment import MARK, Layout, Moment, frame, narrowed

MOST_WIDTH = 320
MOST_FPS = 10
MOST_FRAMES = 600
"""The largest number of frames; whenever an episode has more, every second one is dropped.

It is even, so that dropping them keeps the newest."""

COLOURS = 128
PALETTE_FRAMES = 16
"""The largest number of frames that the colours are chosen from."""

SLOWEST_MS = 200
"""The longest time that a frame is shown, unless env steps are slower; long episodes are shown at a higher speed."""

LAST_MS = 1500


@contextmanager
def writing_gif(path: Path, size: tuple[int, int], fps: float) -> Iterator[Callable[[Moment], None]]:
    """Yield a function that adds a moment, with a picture of this width and height; then write the file.

    The file is written only if no exception was raised. Raises OSError if it cannot be written.
    """
    selection = _FrameSelection(narrowed(size, MOST_WIDTH), math.ceil(fps / MOST_FPS))
    yield selection.add
    slowest = max(SLOWEST_MS, selection.first_stride * 1000 / fps)
    replace_file(path, _encoded(selection.frames(), min(selection.stride * 1000 / fps, slowest)))


class _FrameSelection:
    """Frames that are evenly spread over an episode of any length, and its last frame."""

    def __init__(self, layout: Layout, stride: int) -> None:
        self.stride = self.first_stride = stride
        self._layout = layout
        self._selected: list[Image.Image] = []
        self._last: Moment | None = None

    def add(self, moment: Moment) -> None:
        """Add the frame of a moment if its step is a multiple of the stride."""
        self._last = moment
        if moment.step % self.stride:
            return
        self._last = None
        self._selected.append(frame(moment, self._layout))
        if len(self._selected) > MOST_FRAMES:
            self._selected = self._selected[::2]
            self.stride *= 2

    def frames(self) -> list[Image.Image]:
        """Return the selected frames, and the last one in any case."""
        return self._selected + ([] if self._last is None else [frame(self._last, self._layout)])


def _encoded(frames: list[Image.Image], milliseconds: float) -> bytes:
    """Return the frames as a GIF that repeats, each frame shown for this many milliseconds.

    All frames have one palette and no dithering, so that areas without motion stay equal and take no space.
    """
    palette = _palette(frames)
    first, *others = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in frames]
    durations = [round(milliseconds / 10) * 10] * len(others) + [LAST_MS]  # the format counts hundredths of a second
    file = io.BytesIO()
    first.save(file, "gif", save_all=True, append_images=others, duration=durations, loop=0, comment=MARK)
    return file.getvalue()


def _palette(frames: list[Image.Image]) -> Image.Image:
    sample = frames[:: math.ceil(len(frames) / PALETTE_FRAMES)]
    width, height = sample[0].size
    strip = Image.new("RGB", (width, height * len(sample)))
    for i, image in enumerate(sample):
        strip.paste(image, (0, height * i))
    return strip.quantize(COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
