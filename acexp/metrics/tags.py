"""The tags of metrics and the functions that compute their values. `docs/metrics.md` explains every tag."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

import numpy as np
import torch
from torch import Tensor

from acexp.core.arrays import Array, as_tensor, length, stack
from acexp.core.estimators import Summary
from acexp.core.losses import Objective
from acexp.core.statistics import explained_variance
from acexp.core.types import Batch, UpdateStatistics

EPISODE_RETURN = "charts/episode_return"
EPISODE_LENGTH = "charts/episode_length"
VALID_STEPS = "charts/valid_steps"
STEPS_PER_SECOND = "charts/steps_per_second"
EXPLAINED_VARIANCE = "value/explained_variance"
EVALUATED_RETURN = "eval/return_mean"
EVALUATED_EPISODES = "eval/episodes"
INFO = "info/"
FINAL_RETURN = "final/mean_return_last_100"
TRUNK_COSINE = "grad/trunk_cosine"
UNDEFINED_AT_TIMES = frozenset({EXPLAINED_VARIANCE, TRUNK_COSINE})
"""The tags whose value may be undefined: NaN means that there is no value, not that something diverged."""


def before_clip(part: str) -> str:
    """Return the tag of a part's gradient norm before clipping."""
    return f"grad_norm/{part}/before_clip"


def after_clip(part: str) -> str:
    """Return the tag of a part's gradient norm after clipping."""
    return f"grad_norm/{part}/after_clip"


def clip_fraction(part: str) -> str:
    """Return the tag of the share of updates in which clipping changed the gradient that an optimizer steps with."""
    return f"grad_norm/{part}/clip_fraction"


def info(infos: Sequence[Mapping[str, float]], prefix: str = "") -> dict[str, float]:
    """Return the mean of each number in the last infos of episodes by tag, over the episodes that have it."""
    keys = dict.fromkeys(key for each in infos for key in each)
    return {f"{prefix}{INFO}{key}": fmean(each[key] for each in infos if key in each) for key in keys}


def evaluation(
    returns: Summary, lengths: Summary, infos: Sequence[Mapping[str, float]] = (), part: str = "eval"
) -> dict[str, float]:
    """Return the scalars of an evaluation by tag, which `part` begins.

    They are of the returns, the lengths and the last infos of its episodes.
    """
    named = {f"{part}/return_{name}": value for name, value in returns._asdict().items() if name != "n"}
    return {**named, f"{part}/length_mean": lengths.mean, f"{part}/episodes": returns.n, **info(infos, f"{part}/")}


@np.errstate(all="ignore")  # the recorder finds what is not finite
def per_update(objective: Objective, statistics: Sequence[UpdateStatistics]) -> dict[str, Tensor]:
    """Return the value of every tag at each of U steps of the optimizers, `[U, M]`."""
    batches = Batch.stack([s.batch for s in statistics])
    progress = torch.tensor([s.progress for s in statistics], device=statistics[0].learning.device).unsqueeze(1)
    objective = objective.at(progress)
    losses = objective.losses(batches)
    totals = [objective.total(group.group, losses) for group in statistics[0].norms]
    computed = {
        "losses/actor": losses.actor,
        "losses/critic": losses.critic,
        "losses/entropy": losses.entropy,
        "losses/total": sum(totals[1:], totals[0]),
        "policy/entropy": losses.mean_entropy,
        **{f"algo/{name}": values for name, values in objective.measures(batches).items()},
    }
    deviation = objective.distribution.standard_deviation(batches.policy)
    if deviation is not None:
        computed["policy/std"] = (deviation * batches.weight).sum(-1)
    scalars = {tag: as_tensor(values) for tag, values in computed.items()}
    scalars[EXPLAINED_VARIANCE] = _explained_variance(statistics)
    first_cosine = next((s.trunk_cosine for s in statistics if s.trunk_cosine is not None), None)
    if first_cosine is not None:
        undefined = torch.full_like(first_cosine, math.nan)
        cosines = [undefined if s.trunk_cosine is None else s.trunk_cosine for s in statistics]
        scalars[TRUNK_COSINE] = torch.stack(cosines)
    return scalars | norms(statistics)


def valid_slots(statistics: Sequence[UpdateStatistics]) -> Tensor:
    """Return the number of valid slots in the rollouts that each member learned from, `[M]`."""
    pairs = [(as_tensor(s.rollout.valid), s.learning) for s in statistics if s.rollout is not None]
    valid, learning = (torch.stack(parts) for parts in zip(*pairs, strict=True))
    return (valid.sum(-1) * learning).sum(0)


def _explained_variance(statistics: Sequence[UpdateStatistics]) -> Tensor:
    """Return the explained variance in each rollout at the first step that learned from it, `[U, M]`, else NaN."""
    firsts = [u for u, s in enumerate(statistics) if s.rollout is not None]
    rollouts = [rollout for s in statistics if (rollout := s.rollout) is not None]
    values = torch.full((len(statistics), len(statistics[0].learning)), math.nan, device=statistics[0].learning.device)
    if rollouts:
        compared = zip(*((each.values, each.returns, each.valid) for each in rollouts), strict=True)
        values[firsts] = explained_variance(*(as_tensor(stack(parts)) for parts in compared))
    return values


def norms(statistics: Sequence[UpdateStatistics]) -> dict[str, Tensor]:
    """Return the gradient norms and learning rates of U updates by tag, `[U, M]` each.

    Norms are those of optimizer groups, of modules and of everything together. The norm of a module that two optimizers
    step counts both of its gradients.
    """
    updates = [s.norms for s in statistics]
    scalars: dict[str, Array] = {}
    modules: dict[str, list[tuple[Array, Array]]] = {}
    groups: list[tuple[Array, Array]] = []
    for group in zip(*updates, strict=True):
        name = f"optim_{group[0].group}"
        before, after = stack([g.before for g in group]), stack([g.after for g in group])
        joint = (length(before), length(after))
        scalars[before_clip(name)], scalars[after_clip(name)] = joint
        scalars[clip_fraction(name)] = stack([g.clipped for g in group])
        scalars[f"optim/learning_rate/{group[0].group}"] = stack([g.learning_rate for g in group])
        groups.append(joint)
        for i, module in enumerate(group[0].modules):
            modules.setdefault(module, []).append((before[..., i], after[..., i]))
    for part, pairs in {"all": groups, **modules}.items():
        scalars[before_clip(part)] = _root_of_squares(before for before, _ in pairs)
        scalars[after_clip(part)] = _root_of_squares(after for _, after in pairs)
    return {tag: as_tensor(values) for tag, values in scalars.items()}


def _root_of_squares(parts: Iterable[Array]) -> Array:
    squares = stack(list(parts)) ** 2
    root: Array = squares.sum(0) ** 0.5
    return root


def clip_charts(tags: Iterable[str]) -> dict[str, list[str]]:
    """Return the tags that belong on one chart, by part: the norms before and after clipping."""
    parts = [tag.split("/")[1] for tag in tags if tag.endswith("/before_clip")]
    return {part: [before_clip(part), after_clip(part)] for part in parts}
