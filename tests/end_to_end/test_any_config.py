"""Random configs: each trains, or is refused with a message of acexp's own."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from acexp.algorithm.assembly import check
from acexp.commands.training import Training
from acexp.config import RunConfig, settings
from acexp.config.application import Job, compose
from acexp.core.errors import UserError
from acexp.runs.claims import claim
from acexp.runs.inspection import examine
from acexp.runs.run_directory import Status
from tests.end_to_end.any_environment import ACTION_SPACES, ID, OBSERVATION_SPACES, Plan

ODD_NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -1.0, 1.0, 1e30, 1e-30, 1e300, float("inf"), float("nan")]),
)
FEW = st.integers(-1, 3)
SIZES = st.sampled_from(["[]", "[0]", "[-3]", "[1000000000000]", "3", "[a]", "[1]", "[2,2,2]"])
ODDITIES = {
    "clip.max_norm": ODD_NUMBERS,
    "clip.max_value": ODD_NUMBERS,
    "optim.learning_rate": ODD_NUMBERS,
    "optim.critic.learning_rate": ODD_NUMBERS,
    "optim.eps": ODD_NUMBERS,
    "optim.alpha": ODD_NUMBERS,
    "optim.momentum": ODD_NUMBERS,
    "algo.gamma": ODD_NUMBERS,
    "algo.gae_lambda": ODD_NUMBERS,
    "algo.entropy_coef": ODD_NUMBERS,
    "algo.entropy_final_share": ODD_NUMBERS,
    "optim.final_share": ODD_NUMBERS,
    "algo.value_coef": ODD_NUMBERS,
    "arch.log_std_init": ODD_NUMBERS,
    "checkpoint.minutes": ODD_NUMBERS,
    "algo.n_envs": FEW,
    "algo.n_steps": FEW,
    "seed": st.integers(-1, 2**70),
    "total_steps": st.sampled_from([-1, 0, 1, 0.5, 1e30, "1e2", 61]),
    "log.every": FEW,
    "checkpoint.every": FEW,
    "eval.every": FEW,
    "eval.episodes": FEW,
    "engine.threads": FEW,
    "arch.hidden_sizes": SIZES,
    "arch.actor.hidden_sizes": SIZES,
    "arch.critic.hidden_sizes": SIZES,
    "arch.policy_gain": ODD_NUMBERS,
    "arch.cnn.channels": SIZES,
    "arch.cnn.kernel_sizes": SIZES,
    "arch.cnn.strides": SIZES,
    "optim.betas": st.sampled_from(["[0.9]", "[0.9,1.0]", "[]", "[0,0]"]),
    "env.max_episode_steps": st.integers(-2, 1),
    "env.kwargs": st.sampled_from(["{}", "{size: 3}", "[1]", "{render_mode: human}", "{1: 2}"]),
    "env.wrappers": st.sampled_from(
        [
            "[{name: TimeAwareObservation}]",
            "[{name: FrameStackObservation, stack_size: 2}, {name: FlattenObservation}]",
            "[{name: TimeLimit, max_episode_steps: 0}]",
            "[{name: ClipAction}, {}]",
            "[{name: 'os:path'}]",
            "[[]]",
        ]
    ),
    "+env.kwargs.is_slippery": st.sampled_from(["true", "1", "[]"]),
    "algo.epochs": FEW,
    "algo.minibatches": st.integers(-1, 5),
    "algo.target_kl": ODD_NUMBERS,
    "algo.clip_range": ODD_NUMBERS,
    "algo.clip_values": st.sampled_from(["true", "false", "null", "2"]),
    "algo.clip_anneal": st.sampled_from(["linear", "cosine", "nope", "null"]),
    "algo.clip_final_share": ODD_NUMBERS,
    "log.writers": st.sampled_from(["[]", "[nope]", "[tensorboard,tensorboard]", "tensorboard", "[1]", "null", "{}"]),
    "log.info": st.sampled_from(["[]", "[nope]", "[1]", "nope", "['a b']"]),
    "engine": st.sampled_from(["mujoco", "tabular", "gymnasium", "ale", "auto", "none"]),
    "device": st.sampled_from(["cuda:99", "tpu", "meta", "cpu", "cpu:7", "''", "mps"]),
    "plugins": st.sampled_from(["[]", "[nope]", "nope", "[1]", "[os.path]", "['']", "[a.b]"]),
    "name": st.sampled_from(["null", "a", "a/b", "..", "' '", "[]", "1"]),
    "experiment": st.sampled_from(["cliffwalking", "nope", "null"]),
}
"""Values that are rarely meant, by setting."""

ANY_KEY = st.sampled_from(
    sorted({*settings(compose(["optim=dual"])), "env", "arch", "optim", "clip", "normalizer", "x.y"})
)
NUMBERS = ("-1", "0", "0.5", "-0.0", "nan", "inf", "1e400", "0x2", "range(3)")
LISTS = ("[]", "[a]", "[1]", "[0.5,0.5]", "[[1]]", "{}", "{a: 1}", "1,2", "[", "[1", "{a}", "[red]")
WORDS = ("", "null", "true", "a", "'a b'", "ü", "a=b", "none", "linear", "auto", "*", "\\", "'", "@", "???", "'???'")
REFERENCES = ("${seed}", "${nope}", "${oc.env:NOPE}")
ANY_TEXT = st.sampled_from([*NUMBERS, *LISTS, *WORDS, *REFERENCES])
PREFIX = st.sampled_from(["", "", "", "", "+", "++", "~"])
ODD = st.one_of(
    *[values.map(lambda value, key=key: f"{key}={value}") for key, values in ODDITIES.items()],
    st.builds("{}{}={}".format, PREFIX, ANY_KEY, ANY_TEXT),
)


def chosen(key: str, *choices: str) -> st.SearchStrategy[str]:
    return st.sampled_from(choices).map(lambda choice: f"{key}={choice}")


KNOWN = st.sampled_from(
    [
        ["env=cliffwalking"],
        ["env=cliffwalking", "engine=gymnasium"],
        ["env=halfcheetah"],
        ["env=lunarlander", "engine=gymnasium"],
        ["env=gym", "env.id=FrozenLake-v1"],
        ["env=gym", "env.id=CartPole-v1", "engine=gymnasium"],
        ["env=gym", "env.id=Pendulum-v1"],
        ["env=gym", "env.id=Blackjack-v1"],
        ["env=gym", "env.id=NoSuchThing-v1"],
        ["env=gym"],
        ["env=cliffwalking", "engine=mujoco"],
    ]
)
DRAWN = st.just(["env=gym", f"env.id={ID}", "engine=gymnasium"])
A2C_OR_PPO = st.one_of(
    st.just(["algo=a2c"]),
    st.tuples(
        st.just("algo=ppo"),
        chosen("algo.epochs", "1", "2", "3"),
        # Steps times environments, both below, are not always a multiple of 2.
        chosen("algo.minibatches", "1", "1", "2"),
        chosen("algo.target_kl", "null", "1e-5", "0.1"),
        chosen("algo.clip_range", "0.2", "1e-3", "10"),
        chosen("algo.clip_values", "false", "true"),
        chosen("algo.clip_anneal", "none", "linear", "cosine"),
        chosen("algo.clip_final_share", "0", "0.5"),
    ).map(list),
)
WRAPPED = st.sampled_from(
    [
        [],
        [],
        [],
        [],
        ["env.wrappers=[{name: TimeAwareObservation}]"],
        ["env.wrappers=[{name: RecordEpisodeStatistics}, {name: TimeLimit, max_episode_steps: 3}]"],
        ["env.wrappers=[{name: FrameStackObservation, stack_size: 2}]"],
        ["env.wrappers=[{name: ClipReward, min_reward: -1, max_reward: 1}]"],
    ]
)
CHOICES = st.tuples(
    chosen("log.writers", "[]", "[tensorboard]"),
    chosen("arch", "separate", "shared"),
    chosen("optim", "single", "dual"),
    chosen("optim.algorithm", "adam", "rmsprop", "rmsprop_tf", "sgd"),
    chosen("optim.anneal", "none", "linear", "cosine"),
    chosen("algo.entropy_anneal", "none", "linear", "cosine"),
    chosen("normalizer", "none", "running", "auto", "bounds"),
    chosen("reward_normalizer", "none", "return_std"),
    chosen("clip", "none", "norm", "value"),
    chosen("clip.scope", "optimizer", "module"),
    chosen("env.clip_rewards", "true", "false", "null"),
    chosen("algo.normalize_advantage", "false", "true"),
    chosen("algo.n_envs", "2", "1", "5"),
    chosen("algo.n_steps", "2", "1", "7"),
    chosen("arch.hidden_sizes", "[]", "[3]", "[4,4]"),
    chosen("arch.activation", "tanh", "relu", "elu", "gelu", "silu"),
    chosen("arch.init", "orthogonal", "torch"),
    # Most environments have discrete actions, for which all others are refused.
    chosen("policy", *["auto"] * 6, "gaussian", "squashed", "beta"),
    chosen("policy.std", "parameter", "network"),
    chosen("arch.layer_norm", "false", "true"),
    chosen("arch.critic.hidden_sizes", "null", "[]", "[5]"),
    chosen("arch.actor.layer_norm", "null", "true"),
    chosen("optim.learning_rate", "0", "1e-3", "1e-1", "100"),
    chosen("checkpoint.every", "1", "30", "null"),
    chosen("eval.every", "25", "null"),
)
SENSIBLE = st.tuples(A2C_OR_PPO, WRAPPED, CHOICES).map(lambda parts: [*chain.from_iterable(parts)])
outcomes: Counter[str] = Counter()


def train(config: RunConfig, directory: Path) -> None:
    """What `acexp` does once Hydra has composed the config, see commands/preflight.py; all that it leaves is checked.

    Never an exception of another kind, and never a number in the weights that is not finite.
    """
    check(config)
    claim(directory)
    training = Training(Console(file=io.StringIO()), [])
    training.train_run(Job(config, directory, (), in_sweep=False))
    (outcome,) = training.outcomes
    outcomes[outcome.status] += 1
    assert outcome.status in (Status.DONE, Status.DIVERGED), outcome.error
    assert json.loads((directory / "status.json").read_text())["status"] == outcome.status
    if (directory / "checkpoint.pt").exists():
        content = torch.load(directory / "checkpoint.pt", weights_only=True)
        assert content["member"]["tensors"]["parameters"].isfinite().all()


def inspect(config: RunConfig, directory: Path) -> None:
    examine(config)


@given(
    known=st.one_of(KNOWN, DRAWN),
    spaces=st.tuples(OBSERVATION_SPACES, ACTION_SPACES),
    sensible=SENSIBLE,
    odd=st.lists(ODD, max_size=2),
    command=st.sampled_from([train, train, train, inspect]),
)
def check_one(
    known: list[str],
    spaces: tuple[gym.Space[Any], gym.Space[Any]],
    sensible: list[str],
    odd: list[str],
    command: str,
) -> None:
    Plan(*spaces).register()
    small = ["torch_threads=1", "total_steps=60", "eval.episodes=1", "env.max_episode_steps=20"]
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        try:
            command(compose([*known, *small, *sensible, *odd]), Path(folder) / "run")
        except UserError as error:
            refused = str(error)
        else:
            return
        outcomes["refused"] += 1
        assert "Traceback" not in refused
        assert not list(Path(folder).iterdir())


@pytest.mark.long
def test_a_config_trains_or_is_refused() -> None:
    check_one()
    assert outcomes[Status.DONE] > 20, outcomes
    assert outcomes["refused"] > 20, outcomes
    assert outcomes[Status.DIVERGED] > 0, outcomes
