"""One frame of a video: its content, its layout and how it is drawn."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

TEXT_PER_WIDTH, TEXT_PER_HEIGHT = 1 / 24, 1 / 12
SMALLEST_TEXT = 12
MARK = "made by acexp"
"""The comment in every video, by which acexp knows the files that it has written."""

INK, PAPER = (255, 255, 255), (24, 24, 24)


@dataclass(frozen=True, slots=True)
class Moment:
    """The state of an episode after one of its steps.

    Attributes:
        picture: the picture that the environment rendered, uint8 `[height, width, 3]`.
        step: the env steps since the reset.
        episode_return: the sum of the rewards so far.
        is_end: whether the episode ends here.
    """

    picture: np.ndarray[Any, Any]
    step: int
    episode_return: float
    is_end: bool


@dataclass(frozen=True, slots=True)
class Layout:
    """The layout of a frame: a strip of text above the picture, so that nothing of the picture is hidden.

    Attributes:
        width, height: the size of the frame in pixels; even, as H.264 requires.
        picture: the width and height in pixels of the picture, which is at the bottom left of the frame.
        text: the size of the letters in pixels.
    """

    width: int
    height: int
    picture: tuple[int, int]
    text: int

    @classmethod
    def around(cls, width: int, height: int) -> Layout:
        """Return the layout of a frame for a picture of this size, with letters in proportion."""
        text = max(SMALLEST_TEXT, round(min(width * TEXT_PER_WIDTH, height * TEXT_PER_HEIGHT)))
        strip = math.ceil(1.5 * text)
        return cls(width + width % 2, strip + height + (strip + height) % 2, (width, height), text)


def enlarged(size: tuple[int, int], least: int) -> Layout:
    """Return the layout for a picture enlarged by a whole number to at least `least` pixels on its longer side."""
    times = math.ceil(least / max(size))
    return Layout.around(size[0] * times, size[1] * times)


def narrowed(size: tuple[int, int], most: int) -> Layout:
    """Return the layout for a picture at most `most` pixels wide: shrunk, or enlarged by the largest whole number."""
    width, height = size
    if width > most:
        return Layout.around(most, max(1, round(height * most / width)))
    return Layout.around(width * (most // width), height * (most // width))


def frame(moment: Moment, layout: Layout) -> Image.Image:
    """Draw the picture of a moment, with the step and the return so far written above it."""
    picture = Image.fromarray(moment.picture)
    # Enlarging by whole numbers keeps the pixels of old games sharp; a picture that is shrunk is smoothed.
    shrinks = layout.picture[0] < picture.width
    picture = picture.resize(layout.picture, Image.Resampling.LANCZOS if shrinks else Image.Resampling.NEAREST)
    whole = Image.new("RGB", (layout.width, layout.height), PAPER)
    whole.paste(picture, (0, layout.height - picture.height))
    draw, font = ImageDraw.Draw(whole), _font(layout.text)
    middle = (layout.height - picture.height) / 2
    # Each text has a fixed place, so that nothing moves when a number grows by a digit.
    draw.text((layout.text / 2, middle), f"step {moment.step:,}", INK, font, anchor="lm")
    draw.text((layout.width / 2, middle), f"return {moment.episode_return:,.1f}", INK, font, anchor="lm")
    return whole


@functools.cache
def _font(size: int) -> Any:
    """Return the font that is part of Pillow, which every machine therefore has."""
    return ImageFont.load_default(size)
