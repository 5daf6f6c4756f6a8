"""What one update does to which parameters, and what it reports about its gradients."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from acexp.algorithm.assembly import assemble, resolve
from acexp.algorithm.estimate import estimate
from acexp.algorithm.population import Population
from acexp.algorithm.update import unchanged, update
from acexp.config import RunConfig
from acexp.core.arrays import as_tensor
from acexp.core.types import UpdateStatistics
from acexp.metrics import tags
from acexp.runs.run import Run
from acexp.runs.runner import train
from tests.helpers import advance, metrics, snapshot

Config = Callable[..., RunConfig]

LUNAR = ("env=lunarlander", "algo.n_envs=4", "algo.n_steps=8", "optim.anneal=none")
CHEETAH = ("env=halfcheetah", "algo.n_envs=2", "algo.n_steps=8", "optim.anneal=none")


def scalars(config: RunConfig, n_updates: int) -> dict[str, float]:
    """What would be logged of the last of some updates."""
    with assemble([resolve(config)]) as population:
        last = advance(population, n_updates)[-1:]
        return {tag: float(x) for tag, x in tags.per_update(population.objective, last).items()}


def trained(config: RunConfig, n_updates: int) -> tuple[dict[str, torch.Tensor], list[UpdateStatistics]]:
    with assemble([resolve(config)]) as population:
        statistics = advance(population, n_updates)
        return snapshot(population), statistics


def moved(config: RunConfig) -> set[str]:
    """The modules whose parameters one update changed."""
    with assemble([resolve(config)]) as population:
        before = snapshot(population)
        advance(population, 1)
        after = snapshot(population)
    return {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}


@pytest.mark.parametrize("environment", [LUNAR, CHEETAH], ids=["discrete", "continuous"])
def test_single_and_dual_agree_when_nothing_ties_the_networks(config: Config, environment: tuple[str, ...]) -> None:
    """Separate networks, Adam, no clipping, value_coef 1, equal rates: the losses' sum is as good as the losses."""
    settings = (*environment, "arch=separate", "optim.algorithm=adam", "clip=none", "algo.value_coef=1")
    single, _ = trained(config(*settings, "optim=single"), 10)
    dual, _ = trained(config(*settings, "optim=dual"), 10)
    for name, tensor in single.items():
        torch.testing.assert_close(dual[name], tensor, msg=name)


def test_a_joint_clip_ties_them(config: Config) -> None:
    """One norm over both networks scales both by the same factor; two norms do not."""
    settings = (*LUNAR, "arch=separate", "optim.algorithm=sgd", "clip=norm", "clip.max_norm=0.01", "algo.value_coef=1")
    single, _ = trained(config(*settings, "optim=single"), 3)
    dual, _ = trained(config(*settings, "optim=dual"), 3)
    assert not torch.allclose(single["actor.policy.weight"], dual["actor.policy.weight"], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("trunk", "actor_rate", "critic_rate", "expected"),
    [
        ("both", 1e-2, 0.0, {"actor", "trunk"}),
        ("both", 0.0, 1e-2, {"critic", "trunk"}),
        ("actor", 1e-2, 0.0, {"actor", "trunk"}),
        ("actor", 0.0, 1e-2, {"critic"}),
        ("critic", 1e-2, 0.0, {"actor"}),
        ("critic", 0.0, 1e-2, {"critic", "trunk"}),
    ],
)
def test_the_trunk_moves_with_its_owner_alone(
    config: Config, trunk: str, actor_rate: float, critic_rate: float, expected: set[str]
) -> None:
    rates = (f"optim.actor.learning_rate={actor_rate}", f"optim.critic.learning_rate={critic_rate}")
    assert moved(config(*LUNAR, "arch=shared", "optim=dual", f"optim.trunk={trunk}", *rates)) == expected


def test_both_optimizers_take_their_gradients_at_the_same_parameters(config: Config) -> None:
    """With SGD, a trunk stepped by both is one stepped by the sum: exactly what `single` does at value_coef 1."""
    settings = (
        *LUNAR,
        "arch=shared",
        "optim.algorithm=sgd",
        "optim.learning_rate=0.1",
        "clip=none",
        "algo.value_coef=1",
    )
    single, _ = trained(config(*settings, "optim=single"), 1)
    dual, _ = trained(config(*settings, "optim=dual", "optim.trunk=both"), 1)
    for name, tensor in single.items():
        torch.testing.assert_close(dual[name], tensor, msg=name)


def norms(statistics: list[UpdateStatistics]) -> dict[str, torch.Tensor]:
    """Every norm at every update, `[U]`."""
    return {tag: values[:, 0] for tag, values in tags.norms(statistics).items() if tag.startswith("grad_norm/")}


GRID = [
    ("arch=separate", "optim=single"),
    ("arch=separate", "optim=dual"),
    ("arch=shared", "optim=single"),
    ("arch=shared", "optim=dual"),
    ("arch=shared", "optim=dual", "optim.trunk=critic"),
]


@pytest.mark.parametrize("parts", GRID, ids=" ".join)
def test_after_a_joint_clip_no_group_is_longer_than_the_bound(config: Config, parts: tuple[str, ...]) -> None:
    _, unclipped = trained(config(*LUNAR, *parts, "clip=none"), 30)
    bound = float(norms(unclipped)[tags.before_clip("all")].median())
    _, statistics = trained(config(*LUNAR, *parts, "clip=norm", f"clip.max_norm={bound}"), 30)
    measured = norms(statistics)
    groups = [tag.split("/")[1] for tag in measured if "/optim_" in tag and tag.endswith("before_clip")]
    assert groups
    for group in groups:
        before, after = measured[tags.before_clip(group)], measured[tags.after_clip(group)]
        clipped = measured[f"grad_norm/{group}/clip_fraction"].bool()
        assert (after <= bound * (1 + 1e-6)).all()
        assert torch.equal(after[~clipped], before[~clipped])
        assert (after[clipped] < before[clipped]).all()
        assert (before[clipped] > bound * (1 - 1e-5)).all()
    flags = torch.cat([measured[f"grad_norm/{group}/clip_fraction"] for group in groups])
    assert 0.0 < float(flags.mean()) < 1.0, "the test needs updates with and without clipping"


@pytest.mark.parametrize("parts", GRID, ids=" ".join)
def test_clipping_by_module_bounds_every_module(config: Config, parts: tuple[str, ...]) -> None:
    _, statistics = trained(config(*LUNAR, *parts, "clip=norm", "clip.max_norm=0.1", "clip.scope=module"), 20)
    for each in statistics:
        for group in each.norms:
            assert (group.after <= 0.1 * (1 + 1e-6)).all()
            short = group.before <= 0.1 * (1 - 1e-4)
            assert np.array_equal(group.after[short], group.before[short])
            long = group.before > 0.1 * (1 + 1e-4)
            assert (group.after[long] < group.before[long]).all()
            assert np.array_equal(group.clipped > 0, long.any(1))


def test_without_clipping_both_norms_are_there_and_equal(config: Config) -> None:
    _, statistics = trained(config(*LUNAR, "arch=shared", "optim=dual", "clip=none"), 3)
    measured = norms(statistics)
    for part in ("all", "actor", "trunk", "critic", "optim_actor", "optim_critic"):
        assert torch.equal(measured[tags.before_clip(part)], measured[tags.after_clip(part)])
        assert (measured[tags.before_clip(part)] > 0).all()


def test_the_norms_are_those_of_the_gradients(config: Config) -> None:
    """With SGD at rate 1, the step is the clipped gradient: measure it from the outside."""
    settings = (*LUNAR, "arch=shared", "optim=single", "optim.algorithm=sgd", "optim.learning_rate=1")
    with assemble([resolve(config(*settings, "clip=norm", "clip.max_norm=0.1"))]) as population:
        before = snapshot(population)
        (statistics,) = advance(population, 1)
        after = snapshot(population)
    measured = norms([statistics])
    for part in ("actor", "trunk", "critic"):
        step = torch.cat([(before[n] - after[n]).flatten() for n in before if n.startswith(part)])
        assert float(step.norm()) == pytest.approx(float(measured[tags.after_clip(part)]), rel=1e-3)
    assert float(measured[tags.before_clip("all")]) > 0.1
    assert float(measured[tags.after_clip("all")]) == pytest.approx(0.1, rel=1e-4)


def test_losses_add_up_to_the_total(config: Config) -> None:
    settings = (*LUNAR, "algo.value_coef=0.25", "algo.entropy_coef=0.5")
    for layout, value_coef in (("single", 0.25), ("dual", 1.0)):
        s = scalars(config(*settings, f"optim={layout}"), 1)
        parts = s["losses/actor"] + s["losses/entropy"] + value_coef * s["losses/critic"]
        assert s["losses/total"] == pytest.approx(parts, rel=1e-5)
        assert s["losses/entropy"] == pytest.approx(-0.5 * s["policy/entropy"], rel=1e-5)


def test_a_higher_entropy_bonus_keeps_more_entropy(config: Config) -> None:
    settings = (*LUNAR, "optim.learning_rate=1e-2")
    without, bonus = (scalars(config(*settings, f"algo.entropy_coef={c}"), 60)["policy/entropy"] for c in (0.0, 1.0))
    assert bonus > without


def test_annealing_shrinks_the_steps(config: Config) -> None:
    with assemble([resolve(config(*LUNAR[:-1], "optim.anneal=linear", "optim.learning_rate=1.0"))]) as population:
        rates = [advance(population, 1, progress)[0].norms[0].learning_rate.item() for progress in (0.0, 0.5, 0.75)]
    assert rates == [1.0, 0.5, 0.25]


@pytest.mark.parametrize(
    ("anneal", "expected"), [("none", [1.0, 1.0]), ("linear", [0.6, 0.4]), ("cosine", [0.6, 0.317157])]
)
def test_rates_the_entropy_bonus_and_the_clip_range_have_the_same_schedules(
    config: Config, anneal: str, expected: list[float]
) -> None:
    """With a fifth left at the end; in updates, and in what is logged of them."""
    settings = [f"{key}anneal={anneal}" for key in ("optim.", "algo.entropy_", "algo.clip_")]
    settings += [f"{key}final_share=0.2" for key in ("optim.", "algo.entropy_", "algo.clip_")]
    first = ("algo=ppo", "optim.learning_rate=0.01", "algo.entropy_coef=0.1", "algo.clip_range=0.3")
    with assemble([resolve(config(*LUNAR, *first, *settings))]) as population:
        for progress, share in zip((0.5, 0.75), expected, strict=True):
            last = advance(population, 1, progress)[-1:]
            logged = tags.per_update(population.objective, last)
            assert last[0].norms[0].learning_rate.item() == pytest.approx(0.01 * share, rel=1e-4)
            assert float(logged["losses/entropy"] / -logged["policy/entropy"]) == pytest.approx(0.1 * share, rel=1e-4)
            clip_range = population.objective.at(progress).hyperparameters.clip_range
            assert float(clip_range) == pytest.approx(0.3 * share, rel=1e-4)


def test_what_is_logged_anneals_the_entropy_bonus_as_the_update_did(config: Config) -> None:
    settings = ("algo.entropy_coef=0.1", "algo.entropy_anneal=linear")
    with assemble([resolve(config(*LUNAR, *settings))]) as population:
        updates = [advance(population, 1, progress)[0] for progress in (0.0, 0.75)]
        logged = tags.per_update(population.objective, updates)
    shares = logged["losses/entropy"] / -logged["policy/entropy"]
    assert shares.flatten().tolist() == pytest.approx([0.1, 0.025])


@pytest.mark.parametrize("layout", ["single", "dual"])
def test_the_cosine_on_the_trunk_is_autograds(config: Config, layout: str) -> None:
    """Between the gradients of the plain losses, by torch's own autograd and distributions, for each member."""
    configs = [
        resolve(config(*LUNAR, "arch=shared", f"optim={layout}", "algo.entropy_coef=0.1", f"seed={s}")) for s in (0, 1)
    ]
    with assemble(configs) as population:
        rollout = population.collector.collect()
        leaves = tuple(as_tensor(leaf)[:-1].movedim(0, 1).flatten(1, 2) for leaf in rollout.observations)
        observations = population.observe(leaves)
        batch, evaluation = estimate(population, rollout)
        named = {name: x.clone().requires_grad_() for name, x in population.architecture.parameters.named().items()}
        (statistics,) = update(population, batch, evaluation, 0.0, measure_trunk=True)
        found, batch = statistics.trunk_cosine, statistics.batch.map(as_tensor)
    assert found is not None
    trunk = [named[f"trunk.hidden{i}.{kind}"] for i in (0, 1) for kind in ("weight", "bias")]
    for m in range(2):
        x = observations[0][m].clone()
        for weight, bias in zip(trunk[::2], trunk[1::2], strict=True):
            x = torch.tanh(x @ weight[m] + bias[m])
        logits = x @ named["actor.policy.weight"][m] + named["actor.policy.bias"][m]
        value = (x @ named["critic.value.weight"][m] + named["critic.value.bias"][m]).squeeze(-1)
        policy = torch.distributions.Categorical(logits=logits)
        advantages, valid = batch.advantages[m].clone(), batch.valid[m].clone().bool()
        actor = (
            -(policy.log_prob(batch.actions[m].clone()) * advantages)[valid].mean()
            - 0.1 * policy.entropy()[valid].mean()
        )
        critic = (value - batch.returns[m].clone())[valid].square().mean()
        a, c = (
            torch.cat([g[m].flatten() for g in torch.autograd.grad(loss, trunk, retain_graph=True)])
            for loss in (actor, critic)
        )
        assert float(found[m]) == pytest.approx(float(torch.cosine_similarity(a, c, dim=0)), abs=1e-4)


def test_measuring_the_trunk_changes_nothing(config: Config) -> None:
    settings = (*CHEETAH, "arch=shared")
    kept = []
    for measure in (False, True):
        with assemble([resolve(config(*settings))]) as population:
            for _ in range(3):
                batch, evaluation = estimate(population, population.collector.collect())
                update(population, batch, evaluation, 0.0, measure_trunk=measure)
            kept.append(snapshot(population))
    assert all(torch.equal(kept[0][name], kept[1][name]) for name in kept[0])


def test_the_cosine_is_logged_where_there_is_a_trunk(config: Config, tmp_path: Path) -> None:
    for arch, wanted in (("shared", 3), ("separate", 0)):
        settings = config(*LUNAR, f"arch={arch}", "total_steps=160", "log.every=64")
        train([Run(settings, tmp_path / arch)])
        logged = [line["grad/trunk_cosine"] for line in metrics(tmp_path / arch) if "grad/trunk_cosine" in line]
        assert len(logged) == wanted
        assert all(-1.0 <= value <= 1.0 for value in logged)


@pytest.mark.parametrize("algorithm", ["adam", "rmsprop", "sgd"])
def test_an_update_without_a_valid_slot_changes_nothing(config: Config, algorithm: str) -> None:
    """One step of one environment at a time: each fourth is a reset, which says nothing."""
    settings = (*IDLE, f"optim.algorithm={algorithm}", "optim.momentum=0.9")
    with assemble([resolve(config(*settings))]) as population:
        moved = []
        for _ in range(12):
            before = [x.clone() for x in (population.architecture.parameters.flat, *moments(population))]
            (statistics,) = advance(population, 1)
            after = [population.architecture.parameters.flat, *moments(population)]
            changed = any(not torch.equal(x, y) for x, y in zip(before, after, strict=True))
            moved.append((changed, bool(statistics.batch.valid.any())))
    assert moved == [(True, True), (True, True), (True, True), (False, False)] * 3


IDLE = ("env=cliffwalking", "env.max_episode_steps=3", "algo.n_envs=1", "algo.n_steps=1", "optim.anneal=none")


def moments(population: Population) -> list[torch.Tensor]:
    return [x for group in population.groups for x in group.state().values() if x.is_floating_point()]


def test_only_members_without_a_valid_slot_keep_their_rows() -> None:
    x = torch.zeros(3, 2)
    with unchanged([x], torch.tensor([False, True, False])):
        x += 1.0
    assert x.tolist() == [[1.0, 1.0], [0.0, 0.0], [1.0, 1.0]]
    with unchanged([x], torch.tensor([False, False, False])):
        x += 1.0
    assert x.tolist() == [[2.0, 2.0], [1.0, 1.0], [2.0, 2.0]]


def test_an_update_without_a_valid_slot_is_in_no_mean(config: Config, tmp_path: Path) -> None:
    def logged(every: int) -> list[dict[str, float]]:
        run = config(*IDLE, "total_steps=12", f"log.every={every}", "checkpoint.minutes=null", "seed=1")
        train([Run(run, tmp_path / str(every))])
        return metrics(tmp_path / str(every))

    single = logged(1)
    assert ["losses/critic" in line for line in single] == [True, True, True, False] * 3
    counted = [line["losses/critic"] for line in single if "losses/critic" in line]
    assert logged(12)[0]["losses/critic"] == pytest.approx(sum(counted) / 9)
