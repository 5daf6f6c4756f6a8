"""The engine for MuJoCo against Gymnasium's own environments: the same bits."""

from __future__ import annotations

import gc
import inspect
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import gymnasium.envs.mujoco
import mujoco
import numpy as np
import pytest

from acexp.core.errors import UserError
from acexp.engines import Engine, EngineConfig, EnvironmentConfig, FaultyEnvironmentError, choose_engine, open_engine
from acexp.engines.environment import make
from acexp.engines.mujoco import OTHER_MODEL, TASKS, Mujoco
from acexp.system.packages import Package

MODELS = Path(gymnasium.envs.mujoco.__file__).parent / "assets"


class Case(NamedTuple):
    """One of Gymnasium's tasks.

    Attributes:
        model: The file of its model.
        changed: Every argument of its constructor, except for `xml_file`, with another value than the usual one.
        terminates: Whether random actions end episodes before the time limit.
    """

    model: str
    changed: dict[str, Any]
    terminates: bool = False


FORWARD = {
    "frame_skip": 3,
    "forward_reward_weight": 2.0,
    "ctrl_cost_weight": 0.3,
    "reset_noise_scale": 0.05,
    "exclude_current_positions_from_observation": False,
}
HEALTHY = {**FORWARD, "healthy_reward": 0.5, "terminate_when_unhealthy": False}
ANGLED = {**HEALTHY, "healthy_z_range": (0.9, 1.3), "healthy_angle_range": (-0.1, 0.15)}
BODIES = {
    "include_cinert_in_observation": False,
    "include_cvel_in_observation": False,
    "include_qfrc_actuator_in_observation": False,
    "include_cfrc_ext_in_observation": False,
}
CASES = {
    "HalfCheetah-v5": Case("half_cheetah.xml", FORWARD),
    "Swimmer-v5": Case("swimmer.xml", FORWARD),
    "Hopper-v5": Case("hopper.xml", {**ANGLED, "healthy_state_range": (-3.0, 3.0)}, terminates=True),
    "Walker2d-v5": Case("walker2d_v5.xml", ANGLED, terminates=True),
    "Ant-v5": Case(
        "ant.xml",
        {
            **HEALTHY,
            "healthy_z_range": (0.4, 0.7),
            "contact_cost_weight": 1e-2,
            "contact_force_range": (-0.3, 0.5),
            "main_body": "aux_1",
            "include_cfrc_ext_in_observation": False,
        },
        terminates=True,
    ),
    "Humanoid-v5": Case(
        "humanoid.xml",
        {
            **HEALTHY,
            "healthy_z_range": (1.2, 1.5),
            "contact_cost_weight": 1e-3,
            "contact_cost_range": (0.1, 1),
            **BODIES,
        },
        terminates=True,
    ),
    "HumanoidStandup-v5": Case(
        "humanoidstandup.xml",
        {
            "frame_skip": 3,
            "uph_cost_weight": 2.0,
            "ctrl_cost_weight": 0.2,
            "impact_cost_weight": 1e-4,
            "impact_cost_range": (0.01, 1.0),
            "reset_noise_scale": 0.05,
            "exclude_current_positions_from_observation": False,
            **BODIES,
        },
    ),
    "InvertedPendulum-v5": Case("inverted_pendulum.xml", {"frame_skip": 1, "reset_noise_scale": 0.1}, terminates=True),
    "InvertedDoublePendulum-v5": Case(
        "inverted_double_pendulum.xml",
        {"frame_skip": 2, "healthy_reward": 3.0, "reset_noise_scale": 0.05},
        terminates=True,
    ),
    "Reacher-v5": Case("reacher.xml", {"frame_skip": 3, "reward_dist_weight": 3.0, "reward_control_weight": 0.3}),
    "Pusher-v5": Case(
        "pusher_v5.xml",
        {"frame_skip": 3, "reward_near_weight": 2.0, "reward_dist_weight": 0.7, "reward_control_weight": 0.3},
    ),
}


class Outcome(NamedTuple):
    """What a comparison has covered.

    Attributes:
        terminated, truncated: How many episodes ended in these ways.
        touched: Whether there were contact forces, where the task reads them.
        warned: Whether MuJoCo warned that a simulation diverged.
    """

    terminated: int
    truncated: int
    touched: bool
    warned: bool


def compare(environment: EnvironmentConfig, n_envs: int, n_steps: int, threads: int, scale: float = 1.0) -> Outcome:
    """Step both engines with the same seeds and actions, and compare everything they return."""
    seeds = [1000 + 7 * i for i in range(n_envs)]
    ours = open_engine(environment, seeds, EngineConfig(name="mujoco", threads=threads))
    theirs = open_engine(environment, seeds, EngineConfig(name="gymnasium"))
    assert isinstance(ours, Mujoco)
    assert ours._batch.nthread == threads
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    first, expected = ours.reset(), theirs.reset()
    assert first.dtype == expected.dtype
    assert np.array_equal(first, expected)
    rng = np.random.default_rng(3)
    assert ours.action_space.shape is not None
    actions_shape = (n_envs, *ours.action_space.shape)
    terminated, truncated, touched = 0, 0, False
    for t in range(n_steps):
        actions = (scale * rng.standard_normal(actions_shape)).astype(np.float32)
        step, expected = ours.step(actions), theirs.step(actions)
        for field in ("observation", "reward", "terminated", "truncated"):
            value, wanted = getattr(step, field), getattr(expected, field)
            assert value.dtype == wanted.dtype, field
            assert np.array_equal(value, wanted), (field, t)
        terminated += int(step.terminated.sum())
        truncated += int(step.truncated.sum())
        touched |= bool(ours._forces.any())
    warned = bool(ours._batch.warning.any())
    ours.close()
    theirs.close()
    return Outcome(terminated, truncated, touched, warned)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("environment_id", CASES)
def test_trajectories_equal_gymnasiums_to_the_bit(environment_id: str, threads: int) -> None:
    """A short time limit ends every episode, and falling ends some before; contact forces included."""
    limited = EnvironmentConfig(id=environment_id, max_episode_steps=40)
    outcome = compare(limited, n_envs=7, n_steps=100, threads=threads)
    assert outcome.terminated + outcome.truncated >= 14
    assert outcome.touched == (environment_id in ("Ant-v5", "Humanoid-v5", "HumanoidStandup-v5"))
    if CASES[environment_id].terminates and environment_id != "Ant-v5":
        assert outcome.terminated
    else:
        assert outcome.truncated


@pytest.mark.parametrize("environment_id", CASES)
def test_whole_episodes_equal_gymnasiums_to_the_bit(environment_id: str) -> None:
    """Until the task's own time limit, or until random actions have ended ten episodes."""
    limit = gym.spec(environment_id).max_episode_steps or 0
    n_steps = 250 if CASES[environment_id].terminates else limit + 20
    outcome = compare(EnvironmentConfig(id=environment_id), n_envs=2, n_steps=n_steps, threads=2)
    assert outcome.terminated >= 2 if CASES[environment_id].terminates else outcome.truncated == 2


def changed_model(name: str, folder: Path, change: Callable[[Any], None]) -> str:
    """Write a changed copy of one of Gymnasium's models, and return its path."""
    spec = mujoco.MjSpec.from_file(str(MODELS / name))
    change(spec)
    file = folder / name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of deprecated settings in Gymnasium's models
        file.write_text(spec.to_xml())
    return str(file)


def lighter_and_observed(spec: Any) -> None:
    """Change gravity, the time of a step and the integrator, and add a sensor, whose values nobody reads."""
    spec.option.gravity = (0.0, 0.0, -7.0)
    spec.option.timestep *= 0.7
    runge_kutta, euler = mujoco.mjtIntegrator.mjINT_RK4, mujoco.mjtIntegrator.mjINT_EULER
    spec.option.integrator = euler if spec.option.integrator == runge_kutta else runge_kutta
    body = spec.worldbody.first_body()
    spec.add_sensor(type=mujoco.mjtSensor.mjSENS_SUBTREECOM, objtype=mujoco.mjtObj.mjOBJ_BODY, objname=body.name)


@pytest.mark.parametrize("environment_id", CASES)
def test_every_argument_of_a_constructor_has_the_same_effect(environment_id: str, tmp_path: Path) -> None:
    model, changed, _ = CASES[environment_id]
    entry_point: Any = gym.spec(environment_id).entry_point
    arguments = inspect.signature(gym.envs.registration.load_env_creator(entry_point)).parameters
    assert set(changed) == set(arguments) - {"xml_file", "default_camera_config", "kwargs"}
    assert all(value != arguments[name].default for name, value in changed.items())
    for kwargs in (changed, {"xml_file": changed_model(model, tmp_path, lighter_and_observed)}):
        environment = EnvironmentConfig(id=environment_id, kwargs=kwargs, max_episode_steps=30)
        outcome = compare(environment, n_envs=3, n_steps=70, threads=2, scale=0.4)
        assert outcome.terminated + outcome.truncated >= 3


def test_simulations_that_diverge_begin_anew_as_gymnasiums_do(tmp_path: Path) -> None:
    """MuJoCo resets a simulation by itself whose numbers become too large, in the middle of a step, and warns."""

    def too_long_steps(spec: Any) -> None:
        spec.option.timestep = 0.2

    kwargs = {"xml_file": changed_model("half_cheetah.xml", tmp_path, too_long_steps)}
    outcome = compare(EnvironmentConfig(id="HalfCheetah-v5", kwargs=kwargs), 8, 60, threads=2, scale=1e3)
    assert outcome.warned


def step_often(engine: Engine, actions: np.ndarray[Any, Any]) -> None:
    for _ in range(200):
        engine.step(actions)


def test_an_error_of_mujoco_names_the_environment(tmp_path: Path) -> None:
    def little_memory(spec: Any) -> None:
        spec.memory = 9 * 1024

    environment = EnvironmentConfig(id="Ant-v5", kwargs={"xml_file": changed_model("ant.xml", tmp_path, little_memory)})
    engine = open_engine(environment, [1, 2, 3], EngineConfig(name="mujoco"))
    engine.reset()
    with pytest.raises(FaultyEnvironmentError, match=r"step\(\) failed: .*out of memory") as failure:
        step_often(engine, np.ones((3, 8), np.float32))
    assert failure.value.index == 0
    engine.close()


@pytest.mark.usefixtures("without_envpool")
def test_a_model_whose_bodies_can_sleep_is_left_to_gymnasium(tmp_path: Path) -> None:
    def sleeping(spec: Any) -> None:
        spec.option.enableflags |= mujoco.mjtEnableBit.mjENBL_SLEEP

    environment = EnvironmentConfig(
        id="Pusher-v5", kwargs={"xml_file": changed_model("pusher_v5.xml", tmp_path, sleeping)}
    )
    assert choose_engine(environment, EngineConfig()).name == "gymnasium"
    with pytest.raises(UserError, match="bodies can sleep"):
        choose_engine(environment, EngineConfig(name="mujoco"))


@pytest.mark.usefixtures("without_envpool")
def test_auto_takes_it_for_every_task_and_for_nothing_else() -> None:
    tasks = {spec.id for spec in gym.registry.values() if str(spec.entry_point).startswith("gymnasium.envs.mujoco")}
    assert {name for name in tasks if name.endswith("-v5")} == set(CASES)
    assert {gym.spec(name).entry_point for name in CASES} == set(TASKS)
    for environment_id in CASES:
        assert choose_engine(EnvironmentConfig(id=environment_id), EngineConfig()).name == "mujoco"
    assert choose_engine(EnvironmentConfig(id="HalfCheetah-v4"), EngineConfig()).name == "gymnasium"
    with pytest.raises(UserError, match="MuJoCo v5 tasks only") as refusal:
        choose_engine(EnvironmentConfig(id="Reacher-v4"), EngineConfig(name="mujoco"))
    assert refusal.value.choices == ("auto", "gymnasium", "processes")


@pytest.mark.usefixtures("without_envpool")
def test_a_mujoco_without_batches_is_left_to_gymnasium(monkeypatch: pytest.MonkeyPatch) -> None:
    cheetah = EnvironmentConfig(id="HalfCheetah-v5")
    monkeypatch.setattr(Package, "version", "3.3.7")
    assert choose_engine(cheetah, EngineConfig()).name == "gymnasium"
    with pytest.raises(UserError, match=r"it needs MuJoCo 4, and 3\.3\.7 is installed \(pip install -U mujoco\)"):
        choose_engine(cheetah, EngineConfig(name="mujoco"))
    monkeypatch.setattr(Package, "version", "10.0.0")
    assert choose_engine(cheetah, EngineConfig()).name == "mujoco"


def test_it_closes_twice_and_starts_again_from_its_seeds() -> None:
    engine = open_engine(EnvironmentConfig(id="Hopper-v5"), [3, 4], EngineConfig(name="mujoco", threads=2))
    first = engine.reset()
    kept = first.copy()
    engine.step(np.ones((2, 3), np.float32))
    assert np.array_equal(first, kept), "observations are copies"
    assert np.array_equal(engine.reset(), kept)
    engine.close()
    engine.close()


def test_it_saves_the_rows_that_mujoco_calls_the_integration_state() -> None:
    """Earlier versions saved the same numbers."""
    environment = EnvironmentConfig(id="Walker2d-v5")
    engine = open_engine(environment, [5], EngineConfig(name="mujoco"))
    engine.reset()
    env: Any = make(environment)
    env.reset(seed=5)
    for _ in range(9):
        engine.step(np.full((1, 6), 0.3, np.float32))
        env.step(np.full(6, 0.3, np.float32))
    model, data, integrated = env.unwrapped.model, env.unwrapped.data, mujoco.mjtState.mjSTATE_INTEGRATION
    expected = np.empty(mujoco.mj_stateSize(model, integrated))
    mujoco.mj_getState(model, data, expected, integrated)
    (state,) = engine.save() or ()
    assert np.array_equal(state["physics"].numpy(), expected)
    assert engine.load([{**state, "physics": state["physics"][1:]}]) == OTHER_MODEL
    engine.close()


TASKS_OF_PROCESS = Path("/proc/self/task")


@pytest.mark.skipif(not TASKS_OF_PROCESS.exists(), reason="threads cannot be counted here")
def test_its_threads_end_with_it() -> None:
    gc.collect()  # of engines that failed in other tests, whose tracebacks hold them
    before = len(list(TASKS_OF_PROCESS.iterdir()))
    engine = open_engine(EnvironmentConfig(id="Hopper-v5"), list(range(6)), EngineConfig(name="mujoco", threads=6))
    engine.reset()
    engine.step(np.ones((6, 3), np.float32))
    assert len(list(TASKS_OF_PROCESS.iterdir())) == before + 5
    engine.close()
    assert len(list(TASKS_OF_PROCESS.iterdir())) == before
