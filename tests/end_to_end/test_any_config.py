"""Random configs: each trains, or is refused with a message of acexp's own."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acexp.config.application import compose
from acexp.core.errors import UserError
from acexp.runs import runner
from acexp.runs.run import Run
from acexp.runs.run_directory import Status

ODD = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -1.0, 1.0, 1e30, 1e-30, 1e300, float("inf"), float("nan")]),
)
ODDITIES = {
    "clip.max_norm": ODD,
    "clip.max_value": ODD,
    "optim.learning_rate": ODD,
    "optim.eps": ODD,
    "optim.alpha": ODD,
    "optim.momentum": ODD,
    "a2c.gamma": ODD,
    "a2c.gae_lambda": ODD,
    "a2c.entropy_coef": ODD,
    "a2c.value_coef": ODD,
    "arch.log_std_init": ODD,
    "checkpoint.minutes": ODD,
    "a2c.n_envs": st.integers(-1, 1),
    "a2c.n_steps": st.integers(-1, 1),
    "seed": st.integers(-1, 2**70),
    "log.every": st.integers(-1, 1),
    "checkpoint.every": st.integers(-1, 1),
    "eval.every": st.integers(-1, 1),
    "arch.hidden_sizes": st.sampled_from(["[]", "[0]", "[-3]", "[1000000000000]", "3", "[a]"]),
    "arch.activation": st.just("sine"),
    "clip.scope": st.just("everything"),
    "optim.anneal": st.just("sometimes"),
    "a2c.entropy_anneal": st.just("sometimes"),
    "optim.betas": st.sampled_from(["[0.9]", "[0.9,1.0]", "[]"]),
    "env.max_episode_steps": st.integers(-2, 1),
    "env.clip_rewards": st.sampled_from(["null", "true", "false", "2"]),
    "engine": st.sampled_from(["mujoco", "tabular", "gymnasium", "ale"]),
    "device": st.sampled_from(["cuda:99", "tpu", "meta"]),
}
"""Values that are rarely meant, by setting."""


def chosen(key: str, *choices: str) -> st.SearchStrategy[str]:
    return st.sampled_from(choices).map(lambda choice: f"{key}={choice}")


ENVIRONMENTS = st.sampled_from(
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
        ["env=cliffwalking", "engine=mujoco"],
    ]
)
SENSIBLE = st.tuples(
    chosen("arch", "separate", "shared"),
    chosen("optim", "single", "dual"),
    chosen("optim.algorithm", "adam", "rmsprop", "rmsprop_tf", "sgd"),
    chosen("optim.anneal", "none", "linear"),
    chosen("a2c.entropy_anneal", "none", "linear"),
    chosen("normalizer", "none", "running", "auto", "bounds"),
    chosen("reward_normalizer", "none", "return_std"),
    chosen("clip", "none", "norm", "value"),
    chosen("clip.scope", "optimizer", "module"),
    chosen("a2c.normalize_advantage", "true", "false"),
    chosen("a2c.n_envs", "1", "2", "5"),
    chosen("a2c.n_steps", "1", "2", "7"),
    chosen("arch.hidden_sizes", "[]", "[3]", "[4,4]"),
    chosen("arch.activation", "tanh", "relu", "silu"),
    chosen("optim.learning_rate", "0", "1e-3", "1e-1", "100"),
    chosen("checkpoint.every", "1", "30", "null"),
    chosen("eval.every", "25", "null"),
)
ODD_ONES = st.lists(
    st.sampled_from(sorted(ODDITIES)).flatmap(lambda key: ODDITIES[key].map(lambda value: f"{key}={value}")), max_size=2
)
outcomes: Counter[str] = Counter()


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(environment=ENVIRONMENTS, sensible=SENSIBLE, odd=ODD_ONES)
def check(environment: list[str], sensible: tuple[str, ...], odd: list[str]) -> None:
    """Never an exception of another kind, and never a number in the weights that is not finite."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "run"
        try:
            config = compose(
                ["torch_threads=1", "total_steps=60", "eval.episodes=1", *environment, "env.max_episode_steps=20",
                 *sensible, *odd]
            )  # fmt: skip
            (outcome,) = runner.train([Run(config, directory)])
        except UserError:
            outcomes["refused"] += 1
            return
        outcomes[outcome.status] += 1
        assert outcome.status in (Status.DONE, Status.DIVERGED), outcome.error
        assert json.loads((directory / "status.json").read_text())["status"] == outcome.status
        if (directory / "checkpoint.pt").exists():
            content = torch.load(directory / "checkpoint.pt", weights_only=True)
            assert content["member"]["tensors"]["parameters"].isfinite().all()


@pytest.mark.long
def test_a_config_trains_or_is_refused() -> None:
    check()
    assert outcomes[Status.DONE] > 30, outcomes
    assert outcomes["refused"] > 30, outcomes
    assert outcomes[Status.DIVERGED] > 0, outcomes
