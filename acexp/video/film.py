"""Records one episode of a run's saved policy as video files."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from acexp.algorithm.assembly import evaluation_noise
from acexp.algorithm.policy import LONGEST, Policy
from acexp.core.errors import UserError
from acexp.core.seeding import environment_seeds, evaluation_stream
from acexp.engines import Gymnasium
from acexp.engines.rendering import drawing, frames_per_second
from acexp.runs.saved_policy import Which, open_policy, saved_run
from acexp.sweeps.sweep_directory import require_one_run
from acexp.system.files import CHOOSE_OUT, refuse_foreign, unwritable
from acexp.video.gif import writing_gif
from acexp.video.moment import MARK, Moment
from acexp.video.mp4 import has_ffmpeg, require_ffmpeg, writing_mp4

NAME = "video"

Add = Callable[[Moment], None]
"""Adds a moment to a video file."""
WRITERS: dict[str, Callable[[Path, tuple[int, int], float], AbstractContextManager[Add]]] = {
    "mp4": writing_mp4,
    "gif": writing_gif,
}
"""The writers by file suffix: called with path, (width, height) in pixels and env steps per second."""

FORMATS = tuple(WRITERS)
"""The names of all video formats."""


def possible_formats() -> tuple[str, ...]:
    """Return the formats that can be written on this machine."""
    return FORMATS if has_ffmpeg() else tuple(name for name in FORMATS if name != "mp4")


@dataclass(frozen=True, slots=True)
class Film:
    """A recorded episode.

    Attributes:
        episode_return: Sum of the raw rewards of the episode, or of its recorded part.
        length: Number of recorded env steps.
        is_whole: Whether the episode ended, rather than being cut off by a limit.
        files: The video files.
    """

    episode_return: float
    length: int
    is_whole: bool
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmOptions:
    """Which episode is recorded, and where its files are written.

    Attributes:
        formats: Some of FORMATS; one file is written per format.
        out: The folder of the files; None for the run's directory.
        seed: Number of the episode among those that evaluation plays, from 0.
        deterministic: Whether the most likely actions are taken rather than sampled ones.
        max_steps: Largest number of env steps to record; None for no such limit.
        which: Which policy of the run plays.
    """

    formats: Sequence[str] = FORMATS
    out: Path | None = None
    seed: int = 0
    deterministic: bool = True
    max_steps: int | None = None
    which: Which = Which.LAST


DEFAULTS = FilmOptions()


def film(directory: Path, options: FilmOptions = DEFAULTS, *, allow_plugins: bool = False) -> Film:
    """Play one episode with a run's saved policy, and write videos of it; raises UserError where that is impossible.

    The episode is one that evaluation plays: with frozen statistics of the normalizer, in an environment that training
    has not used. Gymnasium steps it, because few engines can draw; if evaluation uses envpool, its episodes differ.
    Modules that the run's config names are imported only with `allow_plugins`. Videos that acexp did not write stay.
    """
    require_one_run(directory, "A video shows one run")
    which, again = options.which, options.which is Which.BEST
    run = saved_run(directory, which, allow_plugins=allow_plugins)
    if "mp4" in options.formats:
        require_ffmpeg()
    environment = drawing(run.config.env)
    place = options.out or directory
    files = {name: place / f"{NAME}.{name}" for name in options.formats}
    refuse_foreign(dict.fromkeys(files.values(), MARK), own=files.values() if place == directory else ())
    _make(place)
    seeds = environment_seeds(evaluation_stream(run.config.seed, again=again), options.seed + 1)[-1:]
    engine = Gymnasium.open(environment, seeds, run.config.engine)
    try:
        with open_policy([run], engine, which) as saved:
            noise = None if options.deterministic else evaluation_noise([run.config], again=again)
            fps = frames_per_second(environment, engine.environments[0].metadata)
            moments = _play(saved.policy, engine, noise, min(options.max_steps or LONGEST, LONGEST))
            last = _write(files, moments, fps)
    except OSError as error:
        raise unwritable("The video", error, place, CHOOSE_OUT) from error
    return Film(last.episode_return, last.step, last.is_end, tuple(files.values()))


def _make(place: Path) -> None:
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable("The video", error, place, CHOOSE_OUT) from error


def _play(policy: Policy, engine: Gymnasium, noise: Sequence[torch.Generator] | None, longest: int) -> Iterator[Moment]:
    """Yield the moments of one episode: after the reset, and after each of at most `longest` steps."""
    (environment,) = engine.environments
    observation = engine.reset()
    moment = Moment(_picture(environment), 0, 0.0, is_end=False)
    yield moment
    while moment.step < longest and not moment.is_end:
        result = engine.step(policy.act(observation, noise))
        observation = result.observation
        moment = Moment(
            _picture(environment),
            moment.step + 1,
            moment.episode_return + float(result.reward[0]),
            is_end=bool(result.terminated[0] or result.truncated[0]),
        )
        yield moment


def _picture(environment: gym.Env[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the environment's current image, uint8 `[height, width, 3]`."""
    try:
        picture = environment.render()
    except Exception as error:  # Libraries raise exceptions of any class when they cannot draw.
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        raise _undrawable(environment, reason) from error
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8 or picture.shape[2:] != (3,):
        given = f"{picture.dtype} {picture.shape}" if isinstance(picture, np.ndarray) else type(picture).__name__
        raise _undrawable(environment, f"render() gave {given}, not uint8 (height, width, 3)")
    return picture


def _undrawable(environment: gym.Env[Any, Any], reason: str) -> UserError:
    name = environment.spec.id if environment.spec else type(environment.unwrapped).__name__
    return UserError(
        f"{name} cannot be drawn: {reason.removesuffix('.')}.",
        key="env.id",
        value=name,
        remedy="see whether gymnasium.make(..., render_mode='rgb_array') draws it; "
        "environments that draw with OpenGL may need MUJOCO_GL=egl or MUJOCO_GL=osmesa",
    )


def _write(files: dict[str, Path], moments: Iterator[Moment], fps: float) -> Moment:
    """Write every moment to every file and return the last moment; a file that cannot be completed is removed."""
    first = next(moments)
    height, width = first.picture.shape[:2]
    with ExitStack() as stack:
        adders = [stack.enter_context(WRITERS[name](path, (width, height), fps)) for name, path in files.items()]
        for moment in itertools.chain([first], moments):
            for add in adders:
                add(moment)
    return moment
