"""MP4 files that browsers play: H.264 with colours at half the resolution, and the index at the front."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from acexp.core.errors import UserError
from acexp.video.moment import MARK, Moment, enlarged, frame

LEAST_SIDE = 480
"""The smallest length of the longer side in pixels; smaller pictures leave no room for text."""

QUALITY = "20"
"""x264's constant rate factor: 18 looks lossless, 23 is its default."""


def has_ffmpeg() -> bool:
    """Return True if ffmpeg is installed, which MP4 files need."""
    try:
        _ffmpeg()
    except (ImportError, RuntimeError):
        return False
    return True


def require_ffmpeg() -> None:
    """Raise UserError unless ffmpeg is installed."""
    if not has_ffmpeg():
        raise UserError(
            "An mp4 needs ffmpeg, which is not installed.",
            key="--format",
            value="mp4",
            remedy="pip install 'acexp[video]', or do without: --format gif",
        )


def _ffmpeg() -> str:
    import imageio_ffmpeg

    path: str = imageio_ffmpeg.get_ffmpeg_exe()
    return path


@contextmanager
def writing_mp4(path: Path, size: tuple[int, int], fps: float) -> Iterator[Callable[[Moment], None]]:
    """Yield a function that adds a moment, with a picture of this width and height; then finish the file.

    The file is written only if no exception was raised. Raises OSError with ffmpeg's message if it cannot be written.
    """
    layout = enlarged(size, LEAST_SIDE)
    temporary = path.with_name(f"{path.name}.tmp")
    frames = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{layout.width}x{layout.height}", "-r", f"{fps:g}"]
    video = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", QUALITY, "-movflags", "+faststart", "-f", "mp4"]
    notes = ["-metadata", f"comment={MARK}"]
    process = subprocess.Popen(
        [_ffmpeg(), "-y", "-v", "error", *frames, "-i", "-", *video, *notes, str(temporary)],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        process_group=0,  # Ctrl-C must not reach ffmpeg
    )
    assert process.stdin is not None
    pipe = process.stdin

    def add(moment: Moment) -> None:
        pipe.write(frame(moment, layout).tobytes())

    try:
        yield add
        _finish(process)
        temporary.replace(path)
    except BrokenPipeError:
        _finish(process)
        raise
    finally:
        process.kill()
        process.communicate()
        temporary.unlink(missing_ok=True)


def _finish(process: subprocess.Popen[bytes]) -> None:
    """Wait until ffmpeg has written the rest; raise OSError if it failed."""
    messages = process.communicate()[1].decode(errors="replace").strip().splitlines()
    if process.returncode != 0:
        # The first line states the cause, after the name of ffmpeg's component in brackets.
        raise OSError(messages[0].rpartition("] ")[2] if messages else f"ffmpeg ended with code {process.returncode}")
