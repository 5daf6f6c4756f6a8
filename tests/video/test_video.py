"""Videos: the episode that evaluation plays, in files that programs of others can read, without a screen."""

from __future__ import annotations

import functools
import itertools
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from acexp.__main__ import main
from acexp.algorithm.policy import Policy
from acexp.config import RunConfig
from acexp.core.errors import UserError
from acexp.engines import EnvironmentConfig, rendering
from acexp.engines.environment import make
from acexp.engines.rendering import BACKENDS, drawing, obstacle
from acexp.runs import evaluation
from acexp.runs.outcome import Outcome
from acexp.video import FilmOptions, film, gif
from acexp.video.moment import Layout, Moment, enlarged, narrowed

Acexp = Callable[..., subprocess.CompletedProcess[str]]
Config = Callable[..., RunConfig]
Train = Callable[..., list[Outcome]]

SMALL = ("total_steps=64", "algo.n_envs=2", "algo.n_steps=16", "normalizer=running")
CARTPOLE = ("env=gym", "env.id=CartPole-v1", "engine=gymnasium", *SMALL)
CHEETAH = ("env=halfcheetah", "env.max_episode_steps=12", *SMALL)
NO_SCREEN = {"DISPLAY": "", "WAYLAND_DISPLAY": ""}


@functools.cache
def reasons_against_opengl() -> dict[str, str]:
    found: dict[str, str] = {}
    for backend in (os.environ["MUJOCO_GL"],) if os.environ.get("MUJOCO_GL") else BACKENDS:
        reason = obstacle(backend)
        if reason is None:
            return {}
        found[backend] = reason
    return found


def require_opengl() -> None:
    if reasons_against_opengl():
        pytest.skip(f"no OpenGL back end works here: {reasons_against_opengl()}")


def decoded(mp4: Path) -> tuple[np.ndarray[Any, Any], str]:
    """The frames, `[n, height, width, 3]`, and ffmpeg's description of the video."""
    result = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-i", mp4, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
        capture_output=True,
        check=True,
    )
    facts = next(line for line in result.stderr.decode().splitlines() if "Video: " in line)
    size = re.search(r" (\d+)x(\d+)[, ]", facts)
    assert size is not None
    width, height = map(int, size.groups())
    return np.frombuffer(result.stdout, np.uint8).reshape(-1, height, width, 3), facts


class Drawn(gym.Env[Any, Any]):
    """Draws what its argument `shows` names."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 5}  # noqa: RUF012
    observation_space = gym.spaces.Box(-1, 1, (1,))
    action_space = gym.spaces.Discrete(2)

    def __init__(self, render_mode: str | None = None, shows: str = "pictures") -> None:
        self.render_mode, self.shows, self.n = render_mode, shows, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.n = 0
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> Any:
        self.n += 1
        return np.zeros(1, np.float32), 1.0, self.n == 7, False, {}

    def render(self) -> Any:
        if self.shows == "nothing":
            return None
        if self.n == 3 and self.shows == "an accident":
            raise OSError("the projector burns")
        return np.full((15, 21, 3), 20 * self.n, np.uint8)


class Blind(Drawn):
    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()


for name, cls in (("AcexpTestDrawn-v0", Drawn), ("AcexpTestBlind-v0", Blind)):
    if name not in gym.registry:
        gym.register(name, cls)


class Shown(NamedTuple):
    """What the files of an episode should look like."""

    size: tuple[int, int]
    strip: int
    fps: float
    gif_frames: int
    gif_size: tuple[int, int]


@pytest.mark.parametrize(
    ("settings", "shown"),
    [
        (("env=cliffwalking", "env.max_episode_steps=12"), Shown((768, 288), 32, 4.0, 13, (320, 126))),
        (
            ("env=lunarlander", "env.max_episode_steps=12", "engine=gymnasium"),
            Shown((600, 438), 38, 50.0, 4, (320, 234)),
        ),
        (("env=pong", "env.max_episode_steps=12", "arch.cnn.features=16"), Shown((480, 660), 30, 15.0, 7, (320, 440))),
        (CHEETAH, Shown((480, 510), 30, 20.0, 7, (320, 340))),
    ],
    ids=["cliffwalking", "lunarlander", "pong", "halfcheetah"],
)
def test_the_episode_is_evaluations_and_both_files_show_it(
    config: Config,
    train: Train,
    monkeypatch: pytest.MonkeyPatch,
    settings: tuple[str, ...],
    shown: Shown,
) -> None:
    """Sizes by hand: Pong's 160 x 210 times 3 is 480 x 630; its letters of 480 / 24 = 20 pixels have a strip of 30."""
    size, strip, fps, gif_frames, gif_size = shown
    if "env=halfcheetah" in settings:
        require_opengl()
    (outcome,) = train(config(*settings, *SMALL, "algo.n_envs=2"))
    seen: list[Any] = []
    act = Policy.act

    def remember(self: Policy, observation: Any, *others: Any) -> Any:
        seen.append(np.array(observation))
        return act(self, observation, *others)

    monkeypatch.setattr(Policy, "act", remember)
    expected = evaluation.evaluate(outcome.directory, 1, deterministic=True)
    in_evaluation = list(seen)
    seen.clear()
    found = film(outcome.directory)
    assert found.is_whole
    assert len(seen) == found.length == 12
    # ale-py draws the number of no-ops with a generator of its own: games begin alike, and the ball comes otherwise.
    n_equal = 4 if "env=pong" in settings else 12
    for mine, theirs in zip(seen[:n_equal], in_evaluation[:n_equal], strict=True):
        np.testing.assert_array_equal(mine, theirs)
    if n_equal == 12:
        assert (found.episode_return, found.length) == (expected.returns[0], expected.lengths[0])

    mp4, small = found.files
    assert [path.name for path in found.files] == ["video.mp4", "video.gif"]
    frames, facts = decoded(mp4)
    assert frames.shape == (13, size[1], size[0], 3)
    assert "h264" in facts
    assert "yuv420p" in facts
    assert f" {fps:g} fps" in facts
    texts, pictures = frames[:, :strip].astype(int), frames[:, strip:].astype(int)
    assert all(np.abs(after - before).max() > 100 for before, after in itertools.pairwise(texts))
    assert np.abs(pictures[1:] - pictures[0]).max() > 50
    assert texts.max() > 200, "white letters"

    with Image.open(small) as opened:
        assert opened.format == "GIF"
        assert (opened.n_frames, opened.size) == (gif_frames, gif_size)  # type: ignore[attr-defined]
        first = np.asarray(opened.convert("RGB"))
        opened.seek(gif_frames - 1)
        assert not np.array_equal(first, np.asarray(opened.convert("RGB")))
    assert not [path for path in outcome.directory.iterdir() if path.suffix == ".tmp"]


def test_every_seed_is_one_of_evaluations(config: Config, train: Train, tmp_path: Path) -> None:
    (outcome,) = train(config(*CARTPOLE))
    expected = evaluation.evaluate(outcome.directory, 3, deterministic=True)
    films = [
        film(outcome.directory, FilmOptions(formats=["gif"], seed=seed, out=tmp_path / "new" / "folder"))
        for seed in range(3)
    ]
    assert [(f.episode_return, f.length) for f in films] == list(zip(expected.returns, expected.lengths, strict=True))
    assert films[0].files == (tmp_path / "new" / "folder" / "video.gif",)
    assert not (outcome.directory / "video.gif").exists()
    sampled = evaluation.evaluate(outcome.directory, 1, deterministic=False)
    assert (
        film(outcome.directory, FilmOptions(formats=["gif"], deterministic=False)).episode_return == sampled.returns[0]
    )
    cut = film(outcome.directory, FilmOptions(formats=["gif"], max_steps=2))
    assert (cut.length, cut.is_whole) == (2, False)


def test_the_command_needs_no_screen_and_leaves_nothing_else(
    acexp: Acexp, config: Config, train: Train, tmp_path: Path
) -> None:
    require_opengl()
    (outcome,) = train(config(*CHEETAH))
    folder = tmp_path / "empty"
    folder.mkdir()
    result = acexp("video", str(outcome.directory), "--max-steps", "3", "--out", "films", cwd=folder, **NO_SCREEN)
    assert (result.returncode, result.stderr) == (0, "")
    told, *files = result.stdout.splitlines()
    assert told.endswith("in 3 env steps, cut off before its end")
    assert files == ["  films/video.mp4", "  films/video.gif"]
    assert [path.name for path in folder.iterdir()] == ["films"]
    assert sorted(path.name for path in (folder / "films").iterdir()) == ["video.gif", "video.mp4"]


def test_where_no_opengl_works_it_says_what_was_tried(
    config: Config, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (outcome,) = train(config(*CHEETAH))
    for name, value in {"MUJOCO_GL": "glfw", **NO_SCREEN}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=r"HalfCheetah-v5 cannot be drawn: no OpenGL .* works here\. glfw: ") as refusal:
        film(outcome.directory, FilmOptions(out=tmp_path / "films"))
    assert "unset MUJOCO_GL" in str(refusal.value)
    assert "apt install libegl1, or libosmesa6" in str(refusal.value)
    assert not (tmp_path / "films").exists()


def test_back_ends_are_tried_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    cheetah = EnvironmentConfig(id="HalfCheetah-v5")
    for name in ("MUJOCO_GL", "SDL_VIDEODRIVER", "SDL_AUDIODRIVER"):
        monkeypatch.setenv(name, "")  # so that what is set here is forgotten afterwards
    monkeypatch.setattr(rendering, "obstacle", {"egl": "no driver", "osmesa": None}.get)
    assert rendering.drawing(cheetah).kwargs["render_mode"] == "rgb_array"
    assert os.environ["MUJOCO_GL"] == "osmesa"
    monkeypatch.setenv("MUJOCO_GL", "")
    monkeypatch.setattr(rendering, "obstacle", {name: f"{name} is out." for name in BACKENDS}.get)
    with pytest.raises(
        UserError, match=r"works here\. egl: egl is out\. osmesa: osmesa is out\. glfw: glfw is out\.\n"
    ):
        rendering.drawing(cheetah)


@pytest.mark.parametrize(
    ("probe", "reason"),
    [
        ("import os; os._exit(0)", None),
        ("import os; os.abort()", "its process ended with code -6"),
        ("print('Notice'); print('no driver'); exit(1)", "no driver"),
        ("import time; time.sleep(60)", "hangs for 1 s"),
    ],
)
def test_a_back_end_may_do_what_it_likes(monkeypatch: pytest.MonkeyPatch, probe: str, reason: str | None) -> None:
    monkeypatch.setattr(rendering, "PROBE", probe)
    monkeypatch.setattr(rendering, "PROBE_SECONDS", 1 if "sleep" in probe else 30)
    assert obstacle("egl") == reason


def test_a_back_end_that_mujoco_does_not_know_is_refused_in_a_few_lines(
    acexp: Acexp, config: Config, train: Train
) -> None:
    """MuJoCo's import fails, which every command tries."""
    (outcome,) = train(config(*CHEETAH))
    result = acexp("video", str(outcome.directory), MUJOCO_GL="nonsense")
    assert result.returncode == 2
    assert (
        "HalfCheetah-v5 cannot be made: RuntimeError: invalid value for environment variable MUJOCO_GL" in result.stderr
    )
    assert "Traceback" not in result.stderr


def test_without_the_extra_only_gifs_are_made(
    config: Config, train: Train, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (outcome,) = train(config(*CARTPOLE))
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with monkeypatch.context() as patch:
        patch.setattr(Policy, "act", lambda *_: pytest.fail("it played before it looked"))
        with pytest.raises(UserError, match="ffmpeg") as refusal:
            film(outcome.directory)
    assert "pip install 'acexp[video]'" in str(refusal.value)
    assert film(outcome.directory, FilmOptions(formats=["gif"])).files == (outcome.directory / "video.gif",)
    assert main(["video", str(outcome.directory), "--max-steps", "3"]) == 0
    assert "no mp4: that takes pip install 'acexp[video]'" in capsys.readouterr().out
    assert main(["video", str(outcome.directory), "--format", "mp4"]) == 2
    assert not (outcome.directory / "video.mp4").exists()


def test_what_cannot_be_filmed_says_why(config: Config, train: Train) -> None:
    blind, dark, bare = (
        train(config("env=gym", *settings, *SMALL), name=settings[0])[0].directory
        for settings in (
            ("env.id=AcexpTestBlind-v0",),
            ("env.id=AcexpTestDrawn-v0", "+env.kwargs={shows: nothing}"),
            ("env.id=CartPole-v1", "engine=gymnasium"),
        )
    )
    with pytest.raises(UserError, match="AcexpTestBlind-v0 draws no pictures"):
        film(blind)
    with pytest.raises(UserError, match="AcexpTestDrawn-v0 cannot be drawn: render\\(\\) gave NoneType"):
        film(dark)
    (bare / "policy.safetensors").unlink()
    with pytest.raises(UserError, match="saved no networks"):
        film(bare)
    with pytest.raises(UserError, match="this is a sweep's directory") as refusal:
        film(bare.parent)
    assert bare.name in refusal.value.choices
    for directory in (blind, dark, bare):
        assert not list(directory.glob("video*"))


def test_odd_pictures_of_an_environment_of_ones_own(config: Config, train: Train) -> None:
    """21 x 15 pixels times 23 are 483 x 345; letters of 20 pixels have a strip of 30, and 375 is odd as 483 is."""
    (outcome,) = train(config("env=gym", "env.id=AcexpTestDrawn-v0", *SMALL))
    found = film(outcome.directory)
    assert (found.episode_return, found.length) == (7.0, 7)
    frames, _ = decoded(found.files[0])
    assert frames.shape == (8, 376, 484, 3)
    shades = frames[:, 100:300, 100:300].mean((1, 2, 3))
    np.testing.assert_allclose(shades, [20 * n for n in range(8)], atol=3)


def test_nothing_half_is_left_where_something_fails(
    config: Config, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ("env=gym", "env.id=AcexpTestDrawn-v0", *SMALL)
    (broken,) = train(config(*settings, "+env.kwargs={shows: an accident}"), name="broken")
    with pytest.raises(UserError, match="the projector burns"):
        film(broken.directory)
    assert not list(broken.directory.glob("video*"))

    (whole,) = train(config(*settings), name="whole")
    before = film(whole.directory).files[0].read_bytes()
    (whole.directory / "video.mp4.tmp").symlink_to("/dev/full")
    (whole.directory / "video.gif.tmp").symlink_to("/dev/full")
    for suffix in ("mp4", "gif"):
        with pytest.raises(UserError, match=r"The video cannot be written: .*No space left on device"):
            film(whole.directory, FilmOptions(formats=[suffix], max_steps=3))
    assert sorted(path.name for path in whole.directory.glob("video*")) == ["video.gif", "video.mp4"]
    assert (whole.directory / "video.mp4").read_bytes() == before

    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written: File exists"):
        film(whole.directory, FilmOptions(out=tmp_path / "file"))


def test_a_long_episode_becomes_a_small_gif(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At 20 steps a second every 2nd is kept, at first: 51 of 102. With 10 frames at most, it ends with every 16th."""
    monkeypatch.setattr(gif, "MOST_FRAMES", 10)
    path = tmp_path / "video.gif"
    with gif.writing_gif(path, (64, 48), 20.0) as add:
        for step in range(102):
            add(Moment(np.full((48, 64, 3), 2 * step, np.uint8), step, float(-step), is_end=step == 101))
    with Image.open(path) as opened:
        assert opened.n_frames == len([0, 16, 32, 48, 64, 80, 96, 101])  # type: ignore[attr-defined]
        assert opened.size == (320, 260), "5 times 64, and 5 times 48 with 20 for letters of 13"
        assert opened.info["duration"] == gif.SLOWEST_MS
        shades = []
        for i in range(8):
            opened.seek(i)
            shades.append(np.asarray(opened.convert("RGB"))[-1, -1, 0])
    np.testing.assert_allclose(np.array(shades, float), [0, 32, 64, 96, 128, 160, 192, 202], atol=4)


def test_layouts_by_hand() -> None:
    assert enlarged((160, 210), 480) == Layout(480, 660, (480, 630), 20)
    assert enlarged((600, 400), 480) == Layout(600, 438, (600, 400), 25)
    assert narrowed((160, 210), 320) == Layout(320, 440, (320, 420), 13)
    assert narrowed((600, 400), 320) == Layout(320, 234, (320, 213), 13)
    assert narrowed((3, 1), 320) == Layout(318, 124, (318, 106), 12)


def test_a_cheetah_stays_in_the_picture() -> None:
    """Gymnasium 1.4 films it from a camera that stands still, unless configured otherwise."""
    cheetah = drawing(EnvironmentConfig(id="HalfCheetah-v5"))
    env = make(cheetah)
    env.reset(seed=0)
    for position in (0.0, 30.0):
        env.unwrapped.set_state(np.array([position, *env.unwrapped.data.qpos[1:]]), env.unwrapped.data.qvel)
        red, _, blue = np.moveaxis(np.asarray(env.render(), np.int16), 2, 0)
        # Nothing else is of its colour: the floor is black and green, the sky blue.
        assert (red - blue > 15).sum() > 1000
    env.close()
    assert cheetah.kwargs["camera_name"] == "track"
    assert drawing(replace(cheetah, kwargs={"camera_id": -1})).kwargs.keys() == {"camera_id", "render_mode"}
