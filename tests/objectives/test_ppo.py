"""PPO's losses and gradients, and what an update by PPO shares with one by A2C, alone and in a population."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import pytest
import torch

from acexp.algorithm.assembly import assemble, resolve
from acexp.algorithm.estimate import estimate
from acexp.algorithm.minibatches import minibatches
from acexp.config import RunConfig
from acexp.core.arrays import as_tensor
from acexp.core.distributions import distribution_for
from acexp.core.hyperparameters import Hyperparameters
from acexp.core.statistics import mean_weights
from acexp.core.types import Batch
from acexp.objectives.ppo import ClippedObjective
from acexp.runs.outcome import Outcome
from acexp.runs.run_directory import Status
from tests.helpers import advance, metrics, parameters, snapshot

Config = Callable[..., RunConfig]
Train = Callable[..., list[Outcome]]

SPACES = {
    "discrete": gym.spaces.Discrete(4),
    "multidiscrete": gym.spaces.MultiDiscrete([3, 2, 5]),
    "multibinary": gym.spaces.MultiBinary(4),
    "box": gym.spaces.Box(-1.0, 1.0, (3,)),
}
CLIP = torch.tensor([0.2, 0.5])


def objective(space: gym.Space[Any], *, clip_values: bool = False) -> ClippedObjective:
    coefficients = {"entropy_coef": torch.tensor([0.3, 0.02]), "value_coef": torch.tensor([0.25, 2.0])}
    return ClippedObjective(
        distribution_for(space), Hyperparameters(**coefficients, clip_range=CLIP), clip_values=clip_values
    )


def stepped(goal: ClippedObjective) -> tuple[Batch, torch.Tensor, torch.Tensor]:
    """A batch of two members whose networks have changed much since it was collected, and their outputs as leaves."""
    torch.manual_seed(0)
    distribution, shape = goal.distribution, (2, 64)
    before = torch.randn(*shape, distribution.n_parameters, dtype=torch.float64)
    actions = distribution.sample(before.float(), distribution.draw(shape, torch.Generator().manual_seed(1)))
    valid = (torch.rand(shape) > 0.2).double()
    policy = (before + 0.3 * torch.randn_like(before)).requires_grad_()
    values_before = torch.randn(shape, dtype=torch.float64)
    values = (values_before + 0.4 * torch.randn_like(values_before)).requires_grad_()
    batch = Batch(
        policy=policy,
        values=values,
        actions=actions,
        advantages=torch.randn(shape, dtype=torch.float64),
        returns=torch.randn(shape, dtype=torch.float64),
        valid=valid,
        weight=mean_weights(valid),
        log_prob_before=distribution.log_prob(before, actions),
        values_before=values_before,
    )
    return batch, policy, values


@pytest.mark.parametrize("clip_values", [False, True])
@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_the_gradients_are_those_of_the_published_losses(space: gym.Space[Any], clip_values: bool) -> None:
    """By autograd, from the losses as Schulman et al. (2017) and OpenAI's Baselines write them."""
    goal = objective(space, clip_values=clip_values)
    batch, policy, values = stepped(goal)
    assert batch.log_prob_before is not None
    assert batch.values_before is not None
    ratio = (goal.distribution.log_prob(policy, batch.actions) - batch.log_prob_before).exp()
    clip = CLIP.double().unsqueeze(1)
    inside = torch.maximum(torch.minimum(ratio, 1 + clip), 1 - clip)
    surrogate = torch.minimum(ratio * batch.advantages, inside * batch.advantages)
    near = torch.maximum(torch.minimum(values, batch.values_before + clip), batch.values_before - clip)
    error = (values - batch.returns).square()
    critic = torch.maximum(error, (near - batch.returns).square()) if clip_values else error
    entropy = goal.distribution.entropy(policy)
    actor_loss = (-(surrogate + torch.tensor([[0.3], [0.02]]) * entropy) * batch.weight).sum()
    critic_loss = (critic * batch.weight).sum()
    assert 0.1 < float((ratio != inside).double().mean()) < 0.9, "the test needs ratios within the range and beyond"
    found = goal.output_gradients(("actor", "critic"), batch.map(torch.Tensor.detach))
    for ours, theirs in (
        (found["actor"].policy, torch.autograd.grad(actor_loss, policy)[0]),
        (found["critic"].values, torch.autograd.grad(critic_loss, values)[0]),
    ):
        assert ours is not None
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("clip_values", [False, True])
def test_the_losses_have_the_gradients_that_are_followed(clip_values: bool) -> None:
    goal = objective(SPACES["discrete"], clip_values=clip_values)
    batch, policy, values = stepped(goal)
    found = goal.output_gradients(("joint",), batch.map(torch.Tensor.detach))["joint"]
    loss = goal.total("joint", goal.losses(batch)).sum()
    for ours, theirs in zip(found, torch.autograd.grad(loss, (policy, values)), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-8)


def test_what_is_measured() -> None:
    """Ratios of 2, 1, 1/2 and, in a slot that does not count, 4, with a clip range of 1/2."""
    goal = objective(gym.spaces.Discrete(2))
    p = torch.tensor([[0.5, 0.25, 0.125, 0.5]] * 2)
    before = torch.tensor([[0.25, 0.25, 0.25, 0.125]] * 2)
    valid = torch.tensor([[1.0, 1.0, 1.0, 0.0]] * 2)
    zeros = torch.zeros_like(valid)
    batch = Batch(
        policy=torch.stack((p.log(), (1 - p).log()), -1),
        values=zeros,
        actions=zeros.long(),
        advantages=zeros,
        returns=zeros,
        valid=valid,
        weight=mean_weights(valid),
        log_prob_before=before.log(),
    )
    found = goal.measures(batch)
    log2 = float(torch.tensor(2.0).log())
    expected = ((2 - 1 - log2) + 0 + (0.5 - 1 + log2)) / 3
    assert found["approx_kl"].tolist() == pytest.approx([expected] * 2, rel=1e-5)
    # 1/2 is outside of 1 +- 0.2, but not outside of 1 +- 0.5
    assert found["clip_fraction"].tolist() == pytest.approx([2 / 3, 1 / 3])


ONE_STEP = ("algo=ppo", "algo.epochs=1", "algo.minibatches=1")
RUNS = {
    "cliffwalking": ("env=cliffwalking", "total_steps=1280", "log.every=320"),
    "lunarlander": ("env=lunarlander", "arch=shared", "algo.n_steps=16", "total_steps=1280", "log.every=256"),
    "halfcheetah": ("env=halfcheetah", "arch=shared", "optim=dual", "total_steps=1280", "log.every=256"),
    "pendulum": ("env=gym", "env.id=Pendulum-v1", "optim.algorithm=sgd", "total_steps=1280", "log.every=300"),
    "single steps": (
        "env=cliffwalking",
        "env.max_episode_steps=3",
        "algo.n_envs=1",
        "algo.n_steps=1",
        "total_steps=40",
    ),
}


@pytest.mark.parametrize(
    "clipping", [("algo.clip_range=0.2",), ("algo.clip_range=1e-6", "algo.clip_values=true", "algo.target_kl=1e-6")]
)
@pytest.mark.parametrize("settings", RUNS.values(), ids=RUNS)
def test_one_epoch_of_one_minibatch_is_a2c(
    config: Config, train: Train, settings: tuple[str, ...], clipping: tuple[str, ...]
) -> None:
    """Parameters and logs to the last bit, whatever is clipped (Huang et al., 2022)."""
    (expected,) = train(config(*settings), name="a2c")
    (found,) = train(config(*settings, *ONE_STEP, *clipping), name="ppo")
    assert (expected.status, found.status) == (Status.DONE, Status.DONE)
    for name, x in parameters(expected.directory).items():
        assert torch.equal(parameters(found.directory)[name], x), name
    lines = metrics(found.directory)
    for line in lines:
        assert line.pop("algo/approx_kl", 0.0) == line.pop("algo/clip_fraction", 0.0) == 0.0
    assert lines == metrics(expected.directory)


MEMBERS = [
    ("seed=0", "optim.learning_rate=1e-3", "algo.clip_range=0.1"),
    ("seed=1", "optim.learning_rate=1e-2", "algo.entropy_coef=0.05"),
    ("seed=2", "optim.learning_rate=1e-4", "algo.gae_lambda=0.5"),
]
POPULATIONS = {
    "cartpole": ("env=gym", "env.id=CartPole-v1", "optim.algorithm=adam"),
    "halfcheetah": ("env=halfcheetah", "arch=shared", "optim=dual", "algo.normalize_advantage=true"),
    "stopped early": ("env=gym", "env.id=CartPole-v1", "optim.algorithm=adam", "algo.target_kl=1e-3"),
}


@pytest.mark.parametrize("settings", POPULATIONS.values(), ids=POPULATIONS)
def test_a_member_equals_the_run_alone(config: Config, settings: tuple[str, ...]) -> None:
    """Each shuffles by its own generator, and each stops by itself."""
    configs = [resolve(config(*settings, "algo=ppo", "algo.epochs=3", *member)) for member in MEMBERS]
    with assemble(configs) as population:
        statistics = advance(population, 6)
        together = snapshot(population)
    if "algo.target_kl=1e-3" in settings:
        steps = torch.stack([as_tensor(each.batch.valid.any(1)) for each in statistics]).sum(0)
        assert len(set(steps.tolist())) == 3, "the test needs members that stop at different times"
    for m, member in enumerate(configs):
        with assemble([member]) as population:
            advance(population, 6)
            for name, tensor in snapshot(population).items():
                torch.testing.assert_close(together[name][m], tensor[0], rtol=1e-4, atol=1e-5, msg=f"{name} of {m}")


def test_an_epoch_uses_every_slot_once_in_an_order_of_its_own(config: Config) -> None:
    configs = [resolve(config("env=halfcheetah", "algo=ppo", "algo.minibatches=4", f"seed={seed}")) for seed in (0, 1)]
    with torch.inference_mode(), assemble(configs) as population:
        rollout, evaluation = estimate(population, population.collector.collect())
        batches = [batch for batch, _ in minibatches(population, rollout, evaluation)]
    assert len(batches) == 4 * 4
    orders = []
    for epoch in range(4):
        returns = torch.cat([as_tensor(batch.returns) for batch in batches[4 * epoch : 4 * epoch + 4]], 1)
        assert torch.equal(returns.sort(1).values, as_tensor(rollout.returns).sort(1).values)
        orders += [rank.tolist() for rank in returns.argsort(1)]
    assert len({tuple(order) for order in orders}) == 8


def test_beyond_its_target_an_update_takes_no_further_step(config: Config) -> None:
    settings = ("env=halfcheetah", "algo=ppo", "algo.minibatches=1", "optim.algorithm=sgd", "optim.learning_rate=1e-2")
    ended = []
    for more in (("algo.epochs=1",), ("algo.epochs=5", "algo.target_kl=1e-9"), ("algo.epochs=5",)):
        with assemble([resolve(config(*settings, *more))]) as population:
            advance(population, 1)
            ended.append(snapshot(population))
    assert all(torch.equal(x, ended[1][name]) for name, x in ended[0].items())
    assert not all(torch.equal(x, ended[2][name]) for name, x in ended[0].items())
