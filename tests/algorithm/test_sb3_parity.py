"""One update equals that of Stable-Baselines3's A2C or PPO, an implementation that shares nothing with ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.sb2_compat.rmsprop_tf_like import RMSpropTFLike

from acexp.algorithm.assembly import assemble, resolve
from acexp.algorithm.estimate import estimate
from acexp.algorithm.population import Population
from acexp.algorithm.update import update
from acexp.config import RunConfig
from acexp.core.arrays import as_tensor
from acexp.core.types import Rollout
from acexp.metrics import tags

N_STEPS, N_ENVS, GAMMA, LAMBDA = 6, 3, 0.97, 0.9


def copy_parameters(population: Population, policy: Any) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Give SB3 our parameters; the pairs (ours, theirs), weights of ours transposed to theirs."""
    ours = population.architecture.parameters.named()
    names = {
        "actor.hidden0": policy.mlp_extractor.policy_net[0],
        "actor.hidden1": policy.mlp_extractor.policy_net[2],
        "actor.policy": policy.action_net,
        "critic.hidden0": policy.mlp_extractor.value_net[0],
        "critic.hidden1": policy.mlp_extractor.value_net[2],
        "critic.value": policy.value_net,
    }
    pairs = []
    for name, layer in names.items():
        pairs += [(ours[f"{name}.weight"][0].T, layer.weight), (ours[f"{name}.bias"][0], layer.bias)]
    if "actor.log_std" in ours:
        pairs.append((ours["actor.log_std"][0], policy.log_std))
    with torch.no_grad():
        for mine, theirs in pairs:
            theirs.copy_(mine)
    return pairs


def fill(model: A2C | PPO, rollout: Rollout) -> None:
    """Put our rollout into SB3's buffer, scored by SB3's own policy."""
    policy, buffer = model.policy, model.rollout_buffer
    seen, acted = as_tensor(rollout.observations[0]), as_tensor(rollout.actions)
    rewards, terminated = as_tensor(rollout.rewards), as_tensor(rollout.terminated)
    observations, actions = seen[:, 0], acted[:, 0]
    n_steps, n_envs = actions.shape[:2]
    starts = np.ones(n_envs, np.float32)
    buffer.reset()
    with torch.no_grad():
        for t in range(n_steps):
            values, log_prob, _ = policy.evaluate_actions(observations[t], actions[t])
            given = actions[t].numpy().reshape(n_envs, -1)
            buffer.add(observations[t].numpy(), given, rewards[t, 0].numpy(), starts, values, log_prob)
            starts = terminated[t, 0].numpy().astype(np.float32)
        last_values = policy.predict_values(observations[n_steps])
    buffer.compute_returns_and_advantage(last_values, dones=starts)


@pytest.mark.parametrize("terminates", [False, True], ids=["goes on", "terminates at the end"])
@pytest.mark.parametrize("environment", ["Acrobot-v1", "Pendulum-v1"], ids=["discrete", "continuous"])
def test_one_update_equals_stable_baselines3(
    config: Callable[..., RunConfig], environment: str, terminates: bool
) -> None:
    settings = (
        f"algo.n_steps={N_STEPS}",
        f"algo.n_envs={N_ENVS}",
        f"algo.gamma={GAMMA}",
        f"algo.gae_lambda={LAMBDA}",
        "algo.entropy_coef=0.02",
        "algo.value_coef=0.4",
        "clip.max_norm=0.5",
        "optim.algorithm=rmsprop",
        "optim.learning_rate=1e-3",
        "optim.anneal=none",
        "optim.eps=1e-5",
        "optim.alpha=0.99",
        "arch.log_std_init=-0.3",
        "reward_normalizer=none",
        "algo.normalize_advantage=false",
    )
    model = A2C(
        "MlpPolicy",
        gym.make(environment),
        learning_rate=1e-3,
        n_steps=N_STEPS,
        gamma=GAMMA,
        gae_lambda=LAMBDA,
        ent_coef=0.02,
        vf_coef=0.4,
        max_grad_norm=0.5,
        device="cpu",
        policy_kwargs={"net_arch": {"pi": [64, 64], "vf": [64, 64]}},
    )
    model.set_logger(Logger(None, []))
    model.n_envs = model.rollout_buffer.n_envs = N_ENVS
    model._current_progress_remaining = 1.0
    run = config("env=gym", f"env.id={environment}", "normalizer=none", *settings)
    with assemble([resolve(run)]) as population:
        pairs = copy_parameters(population, model.policy)
        start = [theirs.detach().clone() for _, theirs in pairs]
        rollout = population.collector.collect()
        assert rollout.valid.all()
        if terminates:
            rollout.terminated[-1, 0, 1] = True
        fill(model, rollout)
        batch, evaluation = estimate(population, rollout)
        theirs_advantages = torch.from_numpy(model.rollout_buffer.advantages).T.flatten()
        ours_advantages = as_tensor(batch.advantages).view(N_STEPS, N_ENVS).T.flatten()
        torch.testing.assert_close(ours_advantages, theirs_advantages, rtol=1e-4, atol=1e-5)

        (statistics,) = update(population, batch, evaluation, 0.0)
        model.train()
        assert float(np.linalg.norm(statistics.norms[0].before)) > 0.5, "the test needs a gradient that is clipped"
        for (mine, theirs), before in zip(pairs, start, strict=True):
            assert not torch.equal(theirs, before)
            torch.testing.assert_close(mine, theirs.detach(), rtol=1e-4, atol=2e-6)


class _Pixels(gym.Env[Any, Any]):
    """Only its spaces matter: SB3 requires an environment to build a policy."""

    observation_space = gym.spaces.Box(0, 255, (4, 84, 84), np.uint8)
    action_space = gym.spaces.Discrete(6)


PUBLISHED_PONG = (
    "env=pong", "arch=shared", "normalizer=bounds", "arch.cnn.channels=[32,64,64]", "arch.cnn.kernel_sizes=[8,4,3]",
    "arch.cnn.strides=[4,2,1]", "arch.cnn.features=512", "optim.algorithm=rmsprop_tf", "optim.learning_rate=7e-4",
    "optim.anneal=none", "algo.n_steps=5", "algo.gae_lambda=1", "algo.entropy_coef=0.01", "algo.entropy_anneal=none",
    "algo.value_coef=0.25", "algo.normalize_advantage=false",
)  # fmt: skip


def test_published_pong_equals_stable_baselines3_update_by_update(config: Callable[..., RunConfig]) -> None:
    """Nature CNN with one trunk and TensorFlow's RMSprop: what rl-zoo's published Pong agent was trained with."""
    n_envs, n_steps = 4, 5
    model = A2C(
        "CnnPolicy",
        _Pixels(),
        learning_rate=7e-4,
        n_steps=n_steps,
        gamma=0.99,
        gae_lambda=1.0,
        ent_coef=0.01,
        vf_coef=0.25,
        max_grad_norm=0.5,
        device="cpu",
        policy_kwargs={"optimizer_class": RMSpropTFLike, "optimizer_kwargs": {"eps": 1e-5}},
    )
    model.set_logger(Logger(None, []))
    model.n_envs = model.rollout_buffer.n_envs = n_envs
    model._current_progress_remaining = 1.0
    run = config(*PUBLISHED_PONG, f"algo.n_envs={n_envs}", "engine.threads=1")
    with assemble([resolve(run)]) as population:
        ours, policy = population.architecture.parameters.named(), model.policy
        extractor = policy.features_extractor
        layers = {f"trunk.image0.conv{i}": extractor.cnn[2 * i] for i in range(3)}
        layers |= {"trunk.image0.linear": extractor.linear[0]}
        layers |= {"actor.policy": policy.action_net, "critic.value": policy.value_net}
        pairs = []
        for name, layer in layers.items():
            weight = ours[f"{name}.weight"][0]
            pairs += [(weight if weight.dim() == 4 else weight.T, layer.weight), (ours[f"{name}.bias"][0], layer.bias)]
        with torch.no_grad():
            for mine, theirs in pairs:
                theirs.copy_(mine)
        clipped = 0.0
        for n in range(4):
            rollout = population.collector.collect()
            if n == 1:
                rollout.rewards[2, 0] = torch.tensor([1.0, -1.0, 1.0, 0.0])  # points are rare
            fill(model, rollout)
            clipped += float(update(population, *estimate(population, rollout), 0.0)[0].norms[0].clipped)
            model.train()
            for mine, theirs in pairs:
                torch.testing.assert_close(mine, theirs.detach(), rtol=1e-4, atol=1e-6)
        assert clipped > 0, "the test needs a gradient that is clipped"


def shuffled_alike(orders: list[torch.Tensor]) -> Callable[[int], Any]:
    """A replacement of np.random.permutation: our orders, in SB3's numbers, which go through an environment first."""
    epochs = iter(orders)

    def permutation(n_slots: int) -> Any:
        order = next(epochs)
        assert len(order) == n_slots
        return (order % N_ENVS * N_STEPS + order // N_ENVS).numpy()

    return permutation


@pytest.mark.parametrize(
    ("environment", "target_kl"),
    [("Acrobot-v1", None), ("Acrobot-v1", 0.02), ("Pendulum-v1", None), ("Pendulum-v1", 0.15)],
)
def test_one_update_equals_stable_baselines3_ppo(
    config: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch, environment: str, target_kl: float | None
) -> None:
    """The same rollout in the same order: every epoch, every minibatch, what is clipped, and where the update ends."""
    epochs, n_minibatches = 8, 3
    model = PPO(
        "MlpPolicy",
        gym.make(environment),
        learning_rate=1e-2,
        n_steps=N_STEPS,
        batch_size=N_STEPS * N_ENVS // n_minibatches,
        n_epochs=epochs,
        gamma=GAMMA,
        gae_lambda=LAMBDA,
        clip_range=0.1,
        normalize_advantage=False,
        ent_coef=0.02,
        vf_coef=0.4,
        max_grad_norm=0.5,
        target_kl=target_kl and target_kl / 1.5,  # SB3 ends an update at 1.5 times its target
        device="cpu",
        policy_kwargs={"net_arch": {"pi": [64, 64], "vf": [64, 64]}},
    )
    model.set_logger(Logger(None, []))
    model.n_envs = model.rollout_buffer.n_envs = N_ENVS
    model._current_progress_remaining = 1.0
    run = config(
        "env=gym", f"env.id={environment}", "normalizer=none", "reward_normalizer=none", "algo=ppo",
        f"algo.n_steps={N_STEPS}", f"algo.n_envs={N_ENVS}", f"algo.gamma={GAMMA}", f"algo.gae_lambda={LAMBDA}",
        f"algo.epochs={epochs}", f"algo.minibatches={n_minibatches}", "algo.clip_range=0.1", "algo.entropy_coef=0.02",
        "algo.value_coef=0.4", "algo.normalize_advantage=false", "clip.max_norm=0.5", "optim.algorithm=adam",
        "optim.learning_rate=1e-2", "optim.anneal=none", "optim.eps=1e-5", "arch.log_std_init=-0.3",
        f"algo.target_kl={target_kl or 'null'}",
    )  # fmt: skip
    with assemble([resolve(run)]) as population:
        pairs = copy_parameters(population, model.policy)
        rollout = population.collector.collect()
        fill(model, rollout)
        batch, evaluation = estimate(population, rollout)
        (generator,) = population.collector.generators
        same = torch.Generator()
        same.set_state(generator.get_state())
        orders = [torch.randperm(N_STEPS * N_ENVS, generator=same) for _ in range(epochs)]
        statistics = update(population, batch, evaluation, 0.0)
        monkeypatch.setattr(np.random, "permutation", shuffled_alike(orders))
        model.train()
    taken = sum(bool(each.batch.valid.any()) for each in statistics)
    assert len(statistics) == epochs * n_minibatches
    assert 1 < taken < len(statistics) if target_kl else taken == len(statistics)
    if target_kl is None:
        logged = tags.per_update(population.objective, statistics)
        last_epoch = logged["algo/approx_kl"][-n_minibatches:]
        assert float(last_epoch.mean()) == pytest.approx(model.logger.name_to_value["train/approx_kl"], rel=1e-2)
        for ours, theirs in (("algo/clip_fraction", "clip_fraction"), ("losses/critic", "value_loss")):
            assert float(logged[ours].mean()) > 0.0
            assert float(logged[ours].mean()) == pytest.approx(model.logger.name_to_value[f"train/{theirs}"], rel=1e-3)
    for mine, theirs in pairs:
        torch.testing.assert_close(mine, theirs.detach(), rtol=1e-4, atol=1e-5)
