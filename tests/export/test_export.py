"""Policies as ONNX: the file computes what the agent does, and describes itself."""

from __future__ import annotations

import errno
import json
import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from gymnasium import spaces
from torch import Tensor, nn

from acexp import load
from acexp.architectures import ArchitectureConfig, Interface, register_module
from acexp.commands import COMMANDS
from acexp.config import RunConfig
from acexp.core.distributions import Categorical
from acexp.core.errors import UserError
from acexp.core.observations import Leaf, leaves_of, pick
from acexp.engines import EnvironmentConfig, as_code
from acexp.engines.environment import make
from acexp.export import Exported, export
from acexp.normalizers import NORMALIZERS, NormalizerConfig
from acexp.runs import evaluation
from acexp.runs.outcome import Outcome
from acexp.system.files import replace_files
from tests.helpers import REPOSITORY

Acexp = Callable[..., subprocess.CompletedProcess[str]]
Config = Callable[..., RunConfig]
Train = Callable[..., list[Outcome]]

ACTIONS: dict[str, gym.Space[Any]] = {
    "discrete": spaces.Discrete(3, start=4),
    "multi_discrete": spaces.MultiDiscrete([3, 2], start=[1, -1], dtype=np.int32),
    "multi_binary": spaces.MultiBinary((2, 2)),
    "box": spaces.Box(np.array([[-2.0, 0.0, -np.inf]]), np.array([[3.0, np.inf, np.inf]]), dtype=np.float64),
    "bounded": spaces.Box(np.array([[-2.0, 0.1, -0.1]]), np.array([[3.0, 0.7, 0.3]]), dtype=np.float64),
}


OBSERVATIONS: dict[str, gym.Space[Any]] = {
    "many": spaces.Dict(
        {
            "camera": spaces.Box(0, 255, (36, 40, 3), np.uint8),
            "nested": spaces.Tuple((spaces.Box(-np.inf, np.inf, (3,), np.float64), spaces.Discrete(5, start=2))),
            "flags": spaces.MultiBinary((2, 2)),
            "codes": spaces.MultiDiscrete([3, 4]),
            "few bytes": spaces.Box(0, 9, (2, 2), np.uint8),
            "few_bytes": spaces.Box(-4, 4, (), np.float32),
        }
    ),
    "two": spaces.Tuple((spaces.Box(-1.0, 3.0, (2,), np.float64), spaces.Discrete(5, start=2))),
}


class Mixed(gym.Env[Any, Any]):
    """Observations at random, of several parts; it checks its actions."""

    def __init__(self, actions: str = "discrete", observations: str = "many") -> None:
        self.observation_space, self.action_space = OBSERVATIONS[observations], ACTIONS[actions]

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        self.n_steps = 0
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action), action
        self.n_steps += 1
        return self.observation_space.sample(), 1.0, self.n_steps == 7, False, {}


gym.register("Mixed-v0", Mixed)


@register_module("exported_plain")
class Plain(nn.Module):
    """A user's module."""

    def __init__(self, interface: Interface, config: ArchitectureConfig) -> None:
        super().__init__()
        ((n_inputs,),) = interface.input_shapes
        self.encoder = nn.Sequential(nn.Linear(n_inputs, 16), nn.LayerNorm(16), nn.GELU())
        self.actor = nn.Linear(16, interface.n_parameters)
        self.critic = nn.Linear(16, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.encoder(x)
        return self.actor(h), self.critic(h).squeeze(-1)


@register_module("exported_bessel")
class Bessel(Plain):
    """Holds what ONNX has no operation for."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return super().forward(torch.special.bessel_j0(x))


@register_module("exported_batch")
class Batch(Plain):
    """Does something else with small batches."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return super().forward(2.0 * x if len(x) > 4 else x)


@register_module("exported_moody")
class Moody(Plain):
    """Does something else each time, which a graph cannot."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return super().forward((1.0 + random.random()) * x)


@NORMALIZERS.register("exported_signs")
class Signs:
    """A user's normalizer."""

    def __init__(self, leaf: Leaf, n_members: int, config: NormalizerConfig, device: torch.device) -> None:
        pass

    def __call__(self, x: Tensor) -> Tensor:
        return x.sign() * x.abs().sqrt()

    def update(self, x: Tensor, valid: Tensor) -> None:
        pass

    def state(self) -> dict[str, Tensor]:
        return {}


TINY_CNN = ("arch.cnn.channels=[4]", "arch.cnn.kernel_sizes=[8]", "arch.cnn.strides=[8]", "arch.cnn.features=8")
SHORT = ("algo.n_envs=4", "algo.n_steps=10", "total_steps=320", "optim.learning_rate=0.01")
MIXED = ("env=gym", "env.id=tests.export.test_export:Mixed-v0", *TINY_CNN)
TWO = ("+env.kwargs.observations=two",)
CLIFF = ("env=cliffwalking", *SHORT)


def module(name: str) -> tuple[str, ...]:
    return ("env=gym", "env.id=CartPole-v1", "engine=gymnasium", f"arch.name={name}", *SHORT)


WORLDS = {
    "cliffwalking": ("env=cliffwalking", "arch=shared"),
    "lunarlander": ("env=lunarlander", "arch=separate", "normalizer=bounds", "arch.activation=elu"),
    "halfcheetah": ("env=halfcheetah", "arch=shared", "normalizer=running", "env.max_episode_steps=40"),
    "layer normalization": ("env=lunarlander", "arch.layer_norm=true", "arch.actor.hidden_sizes=[9]"),
    "gaussian of a network": ("env=halfcheetah", "policy=gaussian", "policy.std=network", "env.max_episode_steps=40"),
    "squashed": ("env=halfcheetah", "policy=squashed", "env.max_episode_steps=40"),
    "squashed, float64": (*MIXED, *TWO, "+env.kwargs.actions=bounded", "policy=squashed", "policy.std=network"),
    "beta": ("env=halfcheetah", "policy=beta", "arch=shared", "env.max_episode_steps=40"),
    "beta, float64": (*MIXED, *TWO, "+env.kwargs.actions=bounded", "policy=beta"),
    "pong": ("env=pong", "arch=shared", "total_steps=80", *TINY_CNN),
    "discrete, from 4": (*MIXED, *TWO, "normalizer=bounds"),
    "multi_discrete": (*MIXED, *TWO, "+env.kwargs.actions=multi_discrete", "normalizer=running", "arch=shared"),
    "multi_binary": (*MIXED, *TWO, "+env.kwargs.actions=multi_binary", "normalizer=none", "arch.hidden_sizes=[]"),
    "a user's own": (*module("exported_plain"), "normalizer.name=exported_signs"),
}


@pytest.mark.parametrize("world", WORLDS)
def test_the_graph_does_what_the_agent_does(
    config: Config, train: Train, monkeypatch: pytest.MonkeyPatch, world: str
) -> None:
    does_what_the_agent_does(train(config(*SHORT, *WORLDS[world]))[0], monkeypatch)


def test_a_network_that_looks_up_rows_is_exported(
    config: Config, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("acexp.core.observations.LONG_ONE_HOT", 1)
    does_what_the_agent_does(train(config(*SHORT, *WORLDS["cliffwalking"]))[0], monkeypatch)


def does_what_the_agent_does(outcome: Outcome, monkeypatch: pytest.MonkeyPatch) -> Exported:
    before = {path.name for path in outcome.directory.iterdir()}
    exported = export(outcome.directory, allow_plugins=True)
    assert {path.name for path in outcome.directory.iterdir()} - before == {"policy.onnx", "MODEL_CARD.md"}
    assert exported.difference < 1e-5
    assert exported.compared == 320
    content = exported.model.read_bytes()
    onnx.checker.check_model(onnx.load_from_string(content), full_check=True)
    assert str(REPOSITORY).encode() not in content, "the model does not reveal where the code is stored"

    agent = load(outcome.directory, allow_plugins=True)
    env = make(agent.config.env)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    seen: list[dict[str, Any]] = []
    observation, _ = env.reset(seed=3)
    for _ in range(25):
        feed = as_it_is(env, observation, session)
        action, policy = session.run(["action", "policy"], feed)
        same(action[0], agent.act(observation))
        assert policy.shape == (1, *exported.graph.outputs[1].shape)
        assert env.action_space.contains(action[0])
        seen.append({**feed, "action": action, "policy": policy})
        observation, _, terminated, truncated, _ = env.step(action[0])
        if terminated or truncated:
            observation, _ = env.reset()
    env.close()
    together = {name: np.concatenate([row[name] for row in seen]) for name in seen[0]}
    action, policy = session.run(["action", "policy"], {name: together[name] for name in feed})
    same(action, together["action"])
    np.testing.assert_allclose(policy, together["policy"], atol=1e-5)

    monkeypatch.chdir(outcome.directory)
    step = run_usage(exported.card)
    assert step["action"].shape == action[:1].shape
    assert step["policy"].dtype == np.float32
    return exported


def as_it_is(env: gym.Env[Any, Any], observation: Any, session: onnxruntime.InferenceSession) -> dict[str, Any]:
    """What the environment gave, with a batch axis and nothing else done to it; the names follow the parts' order."""
    leaves = leaves_of(env.observation_space)
    names = [port.name for port in session.get_inputs()]
    return {name: pick(observation, leaf)[None] for name, leaf in zip(names, leaves, strict=True)}


def same(found: Any, wanted: Any) -> None:
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
    if np.issubdtype(wanted.dtype, np.floating):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
    else:
        np.testing.assert_array_equal(found, wanted)


def run_usage(card: Path) -> dict[str, Any]:
    """The snippet of a model card, run in the card's folder; the names that it leaves."""
    found = re.search(r"```python\n(.*?)```", card.read_text(), re.DOTALL)
    assert found is not None
    names: dict[str, Any] = {}
    exec(found[1], names)
    names["env"].close()
    return names


def test_names_of_parts_are_identifiers_and_different(
    config: Config, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    (outcome,) = train(config(*SHORT, *MIXED, "+env.kwargs.actions=box", "normalizer=auto"))
    exported = does_what_the_agent_does(outcome, monkeypatch)
    assert [(port.name, port.dtype, port.shape) for port in exported.graph.inputs] == [
        ("observation_camera", "uint8", (36, 40, 3)),
        ("observation_codes", "int64", (2,)),
        ("observation_few_bytes", "uint8", (2, 2)),
        ("observation_few_bytes_", "float32", ()),
        ("observation_flags", "int8", (2, 2)),
        ("observation_nested_0", "float64", (3,)),
        ("observation_nested_1", "int64", ()),
    ]
    session = onnxruntime.InferenceSession(exported.model.read_bytes(), providers=["CPUExecutionProvider"])
    ports = [*session.get_inputs(), *session.get_outputs()]
    assert {port.shape[0] for port in ports} == {"batch"}
    described = (*exported.graph.inputs, *exported.graph.outputs)
    assert [(port.name, tuple(port.shape[1:])) for port in ports] == [(port.name, port.shape) for port in described]
    card = exported.card.read_text()
    assert "| input | `observation_nested_1` | int64 | [batch] | `observation['nested'][1]`: 2 to 6 |" in card
    assert "| output | `action` | float64 | [batch, 1, 3] | the mean, brought into the space's bounds |" in card


def test_the_command_says_what_it_wrote_and_writes_the_same_again(
    acexp: Acexp, config: Config, train: Train, tmp_path: Path
) -> None:
    (outcome,) = train(config("env=halfcheetah", "arch=separate", "env.max_episode_steps=20", "seed=5", *SHORT))
    first = export(outcome.directory)
    result = acexp("export", str(outcome.directory), "--out", "elsewhere/new")
    assert result.returncode == 0, result.stderr
    assert result.stderr == "", "exporters talk a lot"
    for file in (first.model, first.card):
        assert (tmp_path / "elsewhere" / "new" / file.name).read_bytes() == file.read_bytes()
    size = first.model.stat().st_size
    assert result.stdout.splitlines()[:4] == [
        f"elsewhere/new/policy.onnx: {size:,} bytes, ONNX opset {first.graph.opset}",
        "  input   observation: float64 [batch, 17]",
        "  output  action: float32 [batch, 6]",
        "  output  policy: float32 [batch, 12]",
    ]
    assert f"{first.difference:.1e}, over 320 real observations" in result.stdout

    card = first.card.read_text()
    # 17 * 64 + 64, 64 * 64 + 64, 64 * 6 + 6 and 6 log standard deviations; the critic's last layer has 64 + 1.
    assert "11,085 parameters, of which 5,708 act" in card
    assert "| actor.hidden0 | Linear(17, 64), tanh |" in card
    assert "| output | `action` | float32 | [batch, 6] | the mean, brought into [-1, 1] |" in card
    assert "| env steps | 320 |" in card
    assert "| seed | 5 |" in card
    assert json.loads((outcome.directory / "status.json").read_text())["command"] in card
    assert f"torch {torch.__version__}" in card
    metadata = onnx.load_from_string(first.model.read_bytes()).metadata_props
    assert {entry.key: entry.value for entry in metadata}["environment"] == "HalfCheetah-v5"


def test_a_card_tells_what_the_policy_reached(config: Config, train: Train) -> None:
    (outcome,) = train(config(*CLIFF, "env.max_episode_steps=20"))
    found = evaluation.evaluate(outcome.directory, 5, deterministic=True)
    evaluation.write(outcome.directory, found)
    path = outcome.directory / "eval.json"
    mine = path.read_text()
    path.write_text(mine.replace('"step": 320', '"step": 160'))
    summary = json.loads((outcome.directory / "summary.json").read_text())
    card = export(outcome.directory).card.read_text()
    mean, n = summary["mean_return_last_100"], summary["episodes"]
    assert f"Mean return {mean:,.2f} in the last {n} episodes of training" in card, "the evaluation was another's"
    path.write_text(mine)
    card = export(outcome.directory).card.read_text()
    assert "Over 5 episodes in environments that training had not seen, with its most likely actions:" in card
    assert f"{found.summary.mean:,.2f}, interquartile mean {found.summary.iqm:,.2f}" in card
    path.write_text("{")
    with pytest.raises(UserError, match=r"eval\.json cannot be read"):
        export(outcome.directory)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("exported_bessel", r"cannot be expressed in ONNX: No ONNX function.*bessel_j0"),
        ("exported_batch", "cannot be expressed in ONNX: Constraints violated"),
        ("exported_moody", "not the one that was trained: `policy` by"),
    ],
)
def test_a_network_that_no_graph_can_hold_is_refused(
    config: Config, train: Train, capfd: pytest.CaptureFixture[str], name: str, complaint: str
) -> None:
    (outcome,) = train(config(*module(name)))
    before = set(outcome.directory.iterdir())
    with pytest.raises(UserError, match=complaint) as refusal:
        export(outcome.directory)
    assert refusal.value.remedy
    assert set(outcome.directory.iterdir()) == before
    assert capfd.readouterr() == ("", "")


def test_a_graph_with_other_actions_is_refused(config: Config, train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    (outcome,) = train(config(*CLIFF))
    monkeypatch.setattr(Categorical, "translate", lambda self, actions: actions + 1)
    with pytest.raises(UserError, match="`action` does not follow from `policy`"):
        export(outcome.directory)
    assert not (outcome.directory / "policy.onnx").exists()


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_extra_is_named_before_anything_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=f"the package {package},") as refusal:
        export(tmp_path / "nowhere")
    assert refusal.value.remedy == "pip install 'acexp[onnx]'"


def test_what_cannot_be_exported_says_why(config: Config, train: Train, tmp_path: Path) -> None:
    (outcome,) = train(config(*CLIFF))
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        export(outcome.directory, tmp_path / "file")
    (outcome.directory / "policy.safetensors").unlink()
    with pytest.raises(UserError, match="saved no networks"):
        export(outcome.directory)
    with pytest.raises(UserError, match="One run is exported at a time") as refusal:
        COMMANDS["export"].load()([str(tmp_path)])
    assert refusal.value.choices == ("run0",)


def test_files_that_belong_together_are_replaced_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = tmp_path / "policy.onnx", tmp_path / "MODEL_CARD.md"
    replace_files({first: b"old", second: b"old"})
    write = Path.write_bytes

    def full_disk(path: Path, content: bytes) -> int:
        if path.name.startswith(second.name):
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="No space"):
        replace_files({first: b"new", second: b"new"})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {first.name: b"old", second.name: b"old"}


def test_environments_as_code() -> None:
    fire = as_code(EnvironmentConfig(id="ALE/Pong-v5", kwargs={"mode": 1}, max_episode_steps=9))
    assert 'env = gymnasium.make("ALE/Pong-v5", mode=1, frameskip=1)' in fire
    assert "env = gymnasium.wrappers.TimeLimit(env, 9)" in fire
    assert any("env.step(1)" in line for line in fire)
    assert not any("env.step(1)" in line for line in as_code(EnvironmentConfig(id="ALE/Freeway-v5")))
    assert as_code(EnvironmentConfig(id="CartPole-v1"), ["mine"])[0].startswith("env ="), "Gymnasium brings it along"
    assert as_code(EnvironmentConfig(id="Mixed-v0"), ["mine"])[0] == "import mine"
