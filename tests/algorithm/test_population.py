"""Members of a population never mix, and a run repeats itself."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from acexp.algorithm.assembly import assemble, resolve
from acexp.config import RunConfig
from acexp.runs.outcome import Outcome
from acexp.runs.run import Run
from acexp.runs.run_directory import Status
from acexp.runs.runner import train
from tests.helpers import advance, metrics, parameters, snapshot

Acexp = Callable[..., subprocess.CompletedProcess[str]]
Config = Callable[..., RunConfig]
Train = Callable[..., list[Outcome]]

MEMBERS = [
    ("seed=0", "optim.learning_rate=1e-3", "clip.max_norm=0.5", "algo.gamma=0.99"),
    ("seed=1", "optim.learning_rate=3e-3", "clip.max_norm=0.1", "algo.entropy_coef=0.05"),
    ("seed=2", "optim.learning_rate=1e-4", "clip.max_norm=100", "algo.gae_lambda=0.5"),
    ("seed=3", "optim.learning_rate=5e-3", "clip.max_norm=0.01", "algo.value_coef=2.0"),
]

SETTINGS = {
    "cliffwalking separate single adam": ("env=cliffwalking",),
    "halfcheetah shared dual rmsprop": ("env=halfcheetah", "arch=shared", "optim=dual"),
    "lunarlander shared dual actor": (
        "env=lunarlander",
        "algo.n_steps=16",
        "arch=shared",
        "optim=dual",
        "optim.trunk=actor",
    ),
    "pendulum by module": ("env=gym", "env.id=Pendulum-v1", "clip.scope=module", "reward_normalizer=return_std"),
    "sides that differ": ("env=halfcheetah", "arch.layer_norm=true", "arch.critic.hidden_sizes=[32]"),
    "squashed": ("env=halfcheetah", "policy=squashed", "policy.std=network", "arch=shared"),
    "beta": ("env=halfcheetah", "policy=beta"),
    "dual with its own rates": ("env=gym", "env.id=CartPole-v1", "optim=dual", "optim.critic.learning_rate=2e-3"),
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_a_member_equals_the_run_alone_over_20_updates(config: Config, settings: tuple[str, ...]) -> None:
    """Equal but for rounding, since matrix products round differently for members whose rows lie elsewhere in memory.

    Where the rows of each member are aligned, as with 8 environments, other tests compare to the last bit.
    """
    configs = [resolve(config(*settings, *member)) for member in MEMBERS]

    def trained(members: list[RunConfig]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        with assemble(members) as population:
            batch = advance(population, 20)[-1].batch
            return snapshot(population) | population.observe.state(), population.objective.losses(batch).actor

    together, actor_loss = trained(configs)
    for m, member in enumerate(configs):
        alone, actor_loss_alone = trained([member])
        for name, tensor in alone.items():
            torch.testing.assert_close(together[name][m], tensor[0], rtol=1e-5, atol=1e-6, msg=f"{name} of member {m}")
        torch.testing.assert_close(actor_loss[m], actor_loss_alone[0], rtol=1e-3, atol=1e-5)


def test_pongs_members_equal_their_runs_alone(config: Config) -> None:
    """Equal but for rounding, which depends on how the rows of a member lie in memory."""
    settings = ("env=pong", "algo.n_envs=2", "arch=shared")
    configs = [resolve(config(*settings, *member)) for member in MEMBERS[:2]]
    with assemble(configs) as population:
        advance(population, 5)
        together = snapshot(population)
    for m, member in enumerate(configs):
        with assemble([member]) as population:
            advance(population, 5)
            for name, tensor in snapshot(population).items():
                torch.testing.assert_close(together[name][m], tensor[0], rtol=1e-4, atol=1e-5, msg=name)


def trained(members: list[RunConfig], n_updates: int) -> dict[str, torch.Tensor]:
    """Every parameter of a population after some updates, `[M, ...]`."""
    with assemble(members) as population:
        advance(population, n_updates)
        return snapshot(population)


def test_members_are_equal_to_the_bit_in_an_mlp_population(config: Config) -> None:
    """Stronger than what is promised; it is what makes exact regrouping possible."""
    configs = [resolve(config("env=gym", "env.id=CartPole-v1", *member)) for member in MEMBERS]
    together = trained(configs, 20)
    for name, tensor in trained(configs[1:3], 20).items():
        assert torch.equal(together[name][1:3], tensor), name


MARGINS = {
    "one environment": ("algo.n_envs=1", "algo.n_steps=8"),
    "one step": ("algo.n_envs=4", "algo.n_steps=1"),
    "one unit": ("arch.hidden_sizes=[1]", "algo.n_envs=2", "algo.n_steps=4"),
}


POLICIES = {
    "squashed": ("policy=squashed", "policy.std=network", "algo.n_envs=3", "algo.n_steps=3"),
    "beta": ("policy=beta", "algo.n_envs=3", "algo.n_steps=3"),
}
"""Policies of numbers, with rollouts whose sizes are no multiples of a processor's vectors."""

PLACES = [
    *((environment, name) for environment in ("cliffwalking", "halfcheetah") for name in MARGINS),
    *(("halfcheetah", name) for name in POLICIES),
]


@pytest.mark.parametrize(("environment", "name"), PLACES, ids=["-".join(place) for place in PLACES])
def test_members_are_equal_to_the_bit_at_the_margins(config: Config, environment: str, name: str) -> None:
    """A tensor with an axis of length 1 can be a view with other strides, for which torch has other kernels."""
    settings = (MARGINS | POLICIES)[name]
    configs = [resolve(config(f"env={environment}", *settings, *member)) for member in MEMBERS[:3]]

    together = trained(configs, 100)
    for m, member in enumerate(configs):
        for key, tensor in trained([member], 100).items():
            assert torch.equal(together[key][m], tensor[0]), f"{key} of member {m}"


@pytest.mark.parametrize("settings", [("algo.n_envs=1", "algo.n_steps=1"), ("algo.n_envs=1", "arch.hidden_sizes=[]")])
def test_members_are_close_where_products_round_otherwise(config: Config, settings: tuple[str, ...]) -> None:
    """The product of one row, or of a matrix of odd size, depends on how it lies in memory, whatever the algorithm."""
    configs = [resolve(config("env=halfcheetah", *settings, *member)) for member in MEMBERS[:3]]

    together = trained(configs, 5)
    for m, member in enumerate(configs):
        for name, tensor in trained([member], 5).items():
            torch.testing.assert_close(together[name][m], tensor[0], rtol=1e-4, atol=1e-5, msg=name)


def test_each_member_writes_its_own_run(config: Config, train: Train) -> None:
    settings = ("env=cliffwalking", "total_steps=4000", "log.every=400", "algo.n_steps=5")
    together = train(*[config(*settings, f"seed={seed}") for seed in range(3)], name="together")
    (alone,) = train(config(*settings, "seed=1"), name="alone")
    lines, lines_alone = metrics(together[1].directory), metrics(alone.directory)
    assert [line["step"] for line in lines] == [line["step"] for line in lines_alone] == list(range(400, 4001, 400))
    for line, line_alone in zip(lines, lines_alone, strict=True):
        assert line == pytest.approx(line_alone, rel=1e-3, abs=1e-4)
    assert {p.name for p in together[1].directory.iterdir() if not p.name.startswith("events")} == {
        p.name for p in alone.directory.iterdir() if not p.name.startswith("events")
    }


def test_clipped_and_unclipped_members_train_together(config: Config) -> None:
    """Without clipping is a bound of its own, infinity; the gradient of such a member is not touched.

    With 2 environments, members equal their runs alone but for rounding.
    """
    settings = ("env=halfcheetah", "algo.n_envs=2")
    configs = [resolve(config(*settings, member)) for member in ("clip.max_norm=0.1", "clip=none", "clip.max_norm=5")]
    with assemble(configs) as population:
        statistics = advance(population, 10)
        together = snapshot(population)
    for update in statistics:
        (norms,) = update.norms
        assert np.array_equal(norms.before[1], norms.after[1])
        assert norms.clipped.tolist()[:2] == [1.0, 0.0]
    for m, member in enumerate(configs):
        with assemble([member]) as population:
            advance(population, 10)
            for name, tensor in snapshot(population).items():
                torch.testing.assert_close(together[name][m], tensor[0], rtol=1e-5, atol=1e-6, msg=name)


@pytest.mark.parametrize("layout", ["single", "dual"])
def test_a_member_that_diverges_stands_still_and_the_others_go_on(config: Config, train: Train, layout: str) -> None:
    settings = ("env=gym", "env.id=Pendulum-v1", "arch.hidden_sizes=[]", "clip=none", "optim.algorithm=sgd")
    settings += (f"optim={layout}", "optim.anneal=none", "total_steps=4000", "log.every=400", "checkpoint.every=1")
    rates = ("1e-4", "1e12", "1e-4")
    outcomes = train(*[config(*settings, f"optim.learning_rate={rate}", f"seed={s}") for s, rate in enumerate(rates)])
    assert [outcome.status for outcome in outcomes] == [Status.DONE, Status.DIVERGED, Status.DONE]
    assert outcomes[1].steps < 4000
    assert "not finite" in (outcomes[1].error or "")
    assert all(tensor.isfinite().all() for tensor in parameters(outcomes[1].directory).values())
    assert "NaN" not in (outcomes[1].directory / "metrics.jsonl").read_text()
    *_, last = metrics(outcomes[1].directory)
    assert last["step"] == outcomes[1].steps, "what was finite until then is in the log"
    (alone,) = train(config(*settings, "optim.learning_rate=1e-4", "seed=2"), name="alone")
    for name, tensor in parameters(alone.directory).items():
        torch.testing.assert_close(parameters(outcomes[2].directory)[name], tensor, rtol=1e-4, atol=1e-5, msg=name)
    assert len(metrics(outcomes[2].directory)) == len(metrics(alone.directory)) == 10


@pytest.mark.parametrize(
    "difference", ["algo.n_steps=6", "arch=shared", "optim.algorithm=sgd", "env.max_episode_steps=9"]
)
def test_runs_of_different_structure_are_no_population(config: Config, tmp_path: Path, difference: str) -> None:
    with pytest.raises(ValueError, match="member 1 differs"):
        train([Run(config("seed=0"), tmp_path / "0"), Run(config("seed=1", difference), tmp_path / "1")])


@pytest.mark.parametrize(
    "settings",
    [
        ("env=cliffwalking", "total_steps=4000"),
        ("env=halfcheetah", "total_steps=2000", "arch=shared"),
        ("env=pong", "total_steps=400", "algo.n_envs=4", "engine=ale"),
        ("env=pong", "total_steps=400", "algo.n_envs=4", "engine=gymnasium"),
    ],
    ids=lambda settings: settings[0] + settings[-1],
)
def test_the_same_seed_repeats_itself_in_two_processes(acexp: Acexp, tmp_path: Path, settings: tuple[str, ...]) -> None:
    directories = [tmp_path / "first", tmp_path / "second"]
    # A new interpreter has another order in its sets; forked processes share it.
    new = {} if "env=pong" in settings else {"PYTHONHASHSEED": "1"}
    for directory, variables in zip(directories, ({}, new), strict=True):
        result = acexp(*settings, "torch_threads=1", f"hydra.run.dir={directory}", **variables)
        assert result.returncode == 0, result.stderr
    assert (directories[0] / "metrics.jsonl").read_bytes() == (directories[1] / "metrics.jsonl").read_bytes()
    first, second = parameters(directories[0]), parameters(directories[1])
    assert first.keys() == second.keys()
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_other_seeds_give_other_runs(config: Config, train: Train) -> None:
    a, b = train(config("seed=0", "total_steps=400"), config("seed=1", "total_steps=400"))
    assert not torch.equal(
        parameters(a.directory)["actor.policy.weight"], parameters(b.directory)["actor.policy.weight"]
    )


def test_the_global_generators_are_not_touched(config: Config, train: Train) -> None:
    import numpy as np

    torch_state, numpy_state = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    train(config("total_steps=400"))
    assert torch.equal(torch.random.get_rng_state(), torch_state)
    assert (np.random.get_state()[1] == numpy_state).all()


def test_total_steps_are_rounded_up_to_whole_updates(config: Config, train: Train) -> None:
    (outcome,) = train(config("total_steps=401", "algo.n_envs=8", "algo.n_steps=5"))
    assert outcome.steps == 440
    assert outcome.status is Status.DONE
    assert metrics(outcome.directory)[-1]["step"] == 440, "the last update is always logged"
