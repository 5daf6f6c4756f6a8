"""Makes environments render images, with or without a screen."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from acexp.core.configs.engines import EnvironmentConfig
from acexp.core.errors import UserError
from acexp.engines.environment import frame_skip, is_atari, make

MODE = "rgb_array"
"""Gymnasium's render mode that returns images instead of showing them."""

FOLLOWING = "track"
"""The name that Gymnasium's MuJoCo models give to the camera that follows the robot."""

ATARI_HERTZ = 60
USUAL_FPS = 30.0

MUJOCO_GL = "MUJOCO_GL"
BACKENDS = {
    "egl": "install the GPU's driver or libegl1",
    "osmesa": "install libosmesa6",
    "glfw": "needs a display; without one, use egl or osmesa",
}
"""The values of MUJOCO_GL, in the order in which they are tried, each with a remedy if it does not work."""

# The probe exits without cleanup, because a failing back end would print further errors there, after its reason.
PROBE = """
import os
try:
    import mujoco
    model = mujoco.MjModel.from_xml_string("<mujoco><worldbody/></mujoco>")
    renderer = mujoco.Renderer(model, 8, 8)
    renderer.update_scene(mujoco.MjData(model))
    renderer.render()
except Exception as error:
    print(type(error).__name__, error, sep=": ", flush=True)
    os._exit(1)
os._exit(0)
"""
PROBE_SECONDS = 20
LONGEST_REASON = 160


def drawing(environment: EnvironmentConfig) -> EnvironmentConfig:
    """Return the config of the same environment with image rendering; raises UserError if it cannot render.

    This function sets environment variables of this process: SDL, which PyGame uses, draws without a window, and
    MuJoCo uses the first OpenGL back end that works.
    """
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    os.environ.setdefault("SDL_AUDIODRIVER", "dummy")
    env = make(environment)
    modes = env.metadata.get("render_modes") or ()
    needs_opengl = hasattr(env.unwrapped, "mujoco_renderer")
    camera = _following_camera(env.unwrapped, environment.kwargs) if needs_opengl else {}
    env.close()
    if MODE not in modes:
        raise UserError(
            f"{environment.id} draws no pictures: {MODE!r} is not among its render modes.",
            key="env.id",
            value=environment.id,
            remedy="your own environment needs metadata['render_modes'], a render_mode argument and render()",
        )
    if needs_opengl:
        # Gymnasium reads the variable when it draws for the first time, so mujoco may have been imported before.
        os.environ[MUJOCO_GL] = _working_backend(environment)
    return replace(environment, kwargs=environment.kwargs | camera | {"render_mode": MODE})


def _following_camera(env: Any, kwargs: Mapping[str, Any]) -> dict[str, str]:
    """Return kwargs that choose a following camera: Gymnasium 1.4's is fixed, and a cheetah soon leaves its view."""
    import mujoco

    known = mujoco.mj_name2id(env.model, mujoco.mjtObj.mjOBJ_CAMERA, FOLLOWING) != -1
    return {"camera_name": FOLLOWING} if known and not {"camera_id", "camera_name"} & kwargs.keys() else {}


def frames_per_second(environment: EnvironmentConfig, metadata: Mapping[str, Any]) -> float:
    """Return the env steps per second: the environment's `render_fps`, or the console's speed for Atari games."""
    if is_atari(environment):
        return ATARI_HERTZ / frame_skip(environment)
    return float(metadata.get("render_fps") or USUAL_FPS)


def obstacle(backend: str) -> str | None:
    """Return why MuJoCo cannot draw with this back end, None if it can.

    The back end is tried in a separate process, because a back end that does not work may crash its process or hang.
    """
    try:
        tried = subprocess.run(
            [sys.executable, "-c", PROBE],
            env={**os.environ, MUJOCO_GL: backend},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            errors="replace",
            timeout=PROBE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"hangs for {PROBE_SECONDS} s"
    if tried.returncode == 0:
        return None
    lines = tried.stdout.strip().splitlines()
    reason = lines[-1] if lines else f"its process ended with code {tried.returncode}"
    return reason if len(reason) <= LONGEST_REASON else f"{reason[:LONGEST_REASON]} ..."


def _working_backend(environment: EnvironmentConfig) -> str:
    requested = os.environ.get(MUJOCO_GL, "").strip().lower()
    found: dict[str, str] = {}
    for backend in (requested,) if requested else BACKENDS:
        reason = obstacle(backend)
        if reason is None:
            return backend
        found[backend] = reason
    raise UserError(
        f"{environment.id} cannot be drawn: no OpenGL back end works here. "
        + " ".join(f"{backend}: {reason.removesuffix('.')}." for backend, reason in found.items()),
        key=MUJOCO_GL,
        value=requested or None,
        remedy=(f"unset {MUJOCO_GL}, so that each is tried; " if requested else "")
        + "Debian and Ubuntu: apt install libegl1, or libosmesa6",
    )
