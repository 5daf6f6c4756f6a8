"""One episode, from a run's directory to the files that show it."""

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

from acexp.algorithm.assembly import build_policy, evaluation_noise
from acexp.algorithm.policy import LONGEST, Policy
from acexp.config import from_yaml
from acexp.core.errors import UserError
from acexp.core.seeding import environment_seeds, streams
from acexp.engines import Gymnasium
from acexp.engines.rendering import drawing, frames_per_second
from acexp.runs import run_directory
from acexp.runs.evaluation import policy_file, restore
from acexp.system.files import ELSEWHERE, unwritable
from acexp.video.gif import writing_gif
from acexp.video.moment import Moment
from acexp.video.mp4 import has_ffmpeg, require_ffmpeg, writing_mp4

NAME = "video"

Add = Callable[[Moment], None]
WRITERS: dict[str, Callable[[Path, tuple[int, int], float], AbstractContextManager[Add]]] = {
    "mp4": writing_mp4,
    "gif": writing_gif,
}
"""By suffix: from the file, the pictures' width and height, and env steps per second, to what takes moments."""

FORMATS = tuple(WRITERS)


def possible_formats() -> tuple[str, ...]:
    """Those of FORMATS that can be written here."""
    return FORMATS if has_ffmpeg() else tuple(name for name in FORMATS if name != "mp4")


@dataclass(frozen=True, slots=True)
class Film:
    """What was filmed.

    Attributes:
        episode_return: of the episode, or of what was seen of it.
        length: in env steps.
        is_whole: whether the episode came to its end.
        files: that show it.
    """

    episode_return: float
    length: int
    is_whole: bool
    files: tuple[Path, ...]


def film(
    directory: Path,
    formats: Sequence[str] = FORMATS,
    *,
    out: Path | None = None,
    seed: int = 0,
    deterministic: bool = True,
    max_steps: int | None = None,
    allow_plugins: bool = False,
) -> Film:
    """Play one episode with a run's saved policy, and write what it looks like; raises UserError where it cannot.

    The episode is one that evaluation plays: with the normalizer's statistics as they are, in an environment that no
    training has seen. It is Gymnasium's, because few engines can draw; where evaluation plays with envpool, its
    episodes are others.

    Args:
        directory: the run's.
        formats: some of FORMATS, a file for each.
        out: where they are written; None writes them into the run's directory.
        seed: which of the environments that evaluation plays in, counted from 0.
        deterministic: whether the most likely actions are taken rather than sampled ones.
        max_steps: env steps after which the film ends, if the episode has not.
        allow_plugins: whether modules that the run's config names are imported.
    """
    run_directory.require_one_run(directory, "A video shows one run")
    saved = policy_file(directory)
    config = from_yaml(directory / run_directory.CONFIG, allow_plugins=allow_plugins)
    if "mp4" in formats:
        require_ffmpeg()
    environment = drawing(config.env)
    place = _made(out or directory)
    engine = Gymnasium.open(
        environment, environment_seeds(streams(config.seed).evaluation, seed + 1)[-1:], config.engine
    )
    try:
        policy = build_policy([config], engine, torch.device("cpu"))
        restore([saved], policy)
        noise = None if deterministic else evaluation_noise([config])
        fps = frames_per_second(environment, engine.environments[0].metadata)
        moments = _play(policy, engine, noise, min(max_steps or LONGEST, LONGEST))
        files = {name: place / f"{NAME}.{name}" for name in formats}
        last = _write(files, moments, fps)
    except OSError as error:
        raise unwritable("The video", error, place, ELSEWHERE) from error
    finally:
        engine.close()
    return Film(last.episode_return, last.step, last.is_end, tuple(files.values()))


def _made(place: Path) -> Path:
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable("The video", error, place, ELSEWHERE) from error
    return place


def _play(policy: Policy, engine: Gymnasium, noise: Sequence[torch.Generator] | None, longest: int) -> Iterator[Moment]:
    """The moments of one episode: after the reset, and after each of at most `longest` steps."""
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
    """What the environment looks like now, uint8 `[height, width, 3]`."""
    try:
        picture = environment.render()
    except Exception as error:  # libraries raise whatever they like where they cannot draw
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        raise _undrawable(environment, reason) from error
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8 or picture.shape[2:] != (3,):
        what = f"{picture.dtype} {picture.shape}" if isinstance(picture, np.ndarray) else type(picture).__name__
        raise _undrawable(environment, f"render() gave {what}, not uint8 (height, width, 3)")
    return picture


def _undrawable(environment: gym.Env[Any, Any], reason: str) -> UserError:
    name = environment.spec.id if environment.spec else type(environment.unwrapped).__name__
    return UserError(
        f"{name} cannot be drawn: {reason.removesuffix('.')}.",
        key="env.id",
        value=name,
        remedy="see whether gymnasium.make(..., render_mode='rgb_array') draws it; "
        "what draws with OpenGL may need MUJOCO_GL=egl or MUJOCO_GL=osmesa",
    )


def _write(files: dict[str, Path], moments: Iterator[Moment], fps: float) -> Moment:
    """Every moment into every file; the last moment. A file that cannot be finished is not left behind."""
    first = next(moments)
    height, width = first.picture.shape[:2]
    with ExitStack() as stack:
        adders = [stack.enter_context(WRITERS[name](path, (width, height), fps)) for name, path in files.items()]
        for moment in itertools.chain([first], moments):
            for add in adders:
                add(moment)
    return moment
