"""What a user should know about runs before they train.

These are settings without effect, images that are read as vectors, and budgets that are rounded up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from acexp.algorithm.loop import Budget
from acexp.config import RunConfig, settings
from acexp.config.effects import ALL_FACTS, NO_DEVIATION, NO_IMAGES, NO_NUMBERS, ONLY_IMAGES, without_effect
from acexp.config.names import setting_of, varying_keys
from acexp.core.distributions import distribution_for
from acexp.core.errors import UserError
from acexp.core.observations import LeafKind, leaves_of, loses_digits, read_as_vector
from acexp.engines import spaces_of
from acexp.normalizers.observation import NUMERIC

NOTABLE = 0.1
"""The part of a budget by which it may be rounded up without a remark."""


@dataclass(frozen=True, slots=True)
class _Spaces:
    """What is known of an environment's spaces; nothing, where it cannot be made.

    Attributes:
        facts: What they leave without effect, in the words of config/effects.py.
        lines: Remarks on how its observations are read.
    """

    facts: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()


def remarks(configs: Sequence[RunConfig], overrides: Sequence[str]) -> list[str]:
    """Return a line for each override that no run reads, each image that is read as a vector, each rounded budget."""
    spaces = _spaces(configs)
    unread = _unread(configs, spaces)
    lines = [
        f"{override} has no effect with {reasons}."
        for override in dict.fromkeys(overrides)
        if (reasons := _reasons(setting_of(override)[0], unread))
    ]
    read = dict.fromkeys(line for each in spaces for line in each.lines)
    return [*lines, *read, *dict.fromkeys(line for config in configs if (line := _rounding(config)))]


def refuse_unread(configs: Sequence[RunConfig], overrides: Sequence[Sequence[str]]) -> None:
    """Raise UserError if a sweep varies a setting that none of its runs reads, as its cells would be equal.

    `overrides` are those of each run.
    """
    # Environments may take long to make, so they are made only where their spaces can matter.
    unread = _unread(configs, [_Spaces(ALL_FACTS)] * len(configs))
    suspects = [key for key in varying_keys(overrides) if _reasons(key, unread)]
    unread = _unread(configs, _spaces(configs)) if suspects else []
    for key in suspects:
        reasons = _reasons(key, unread)
        if reasons:
            values = dict.fromkeys(dict(map(setting_of, run)).get(key, "") for run in overrides)
            raise UserError(
                f"Runs that differ in {key} alone would be equal: nothing reads it with {reasons}.",
                key=key,
                value=",".join(values),
                remedy=f"leave out {key}, or train what reads it",
            )


def _unread(configs: Sequence[RunConfig], spaces: Sequence[_Spaces]) -> list[dict[str, str]]:
    """Return the settings that each run does not read, with the reasons."""
    pairs = zip(configs, spaces, strict=True)
    return [without_effect(settings(config), known.facts) for config, known in pairs]


def _reasons(key: str, unread: Sequence[dict[str, str]]) -> str:
    """Return why no run reads a setting, or what a group chooses; empty if a run reads it."""
    reasons = [each.get(key) or each.get(f"{key}.name") for each in unread]
    return "" if None in reasons else " and ".join(dict.fromkeys(map(str, reasons)))


def _spaces(configs: Sequence[RunConfig]) -> list[_Spaces]:
    """Return what is known of each run's environment; each environment is made once."""
    places = [repr((config.env, config.engine.name)) for config in configs]
    examples = dict(zip(places, configs, strict=True))
    known = {place: _examine(config) for place, config in examples.items()}
    return [known[place] for place in places]


def _examine(config: RunConfig) -> _Spaces:
    try:
        observations, actions = spaces_of(config.env, config.engine)
        leaves, distribution = leaves_of(observations), distribution_for(actions)
    except (Exception, SystemExit):
        return _Spaces()  # what cannot be made is refused, with the reason, where it is built
    kinds = {leaf.kind for leaf in leaves}
    facts = {
        NO_IMAGES: LeafKind.IMAGE not in kinds,
        ONLY_IMAGES: kinds == {LeafKind.IMAGE},
        NO_NUMBERS: kinds.isdisjoint(NUMERIC),
        NO_DEVIATION: distribution.n_parameters == distribution.n_outputs,
    }
    lines = tuple(line for leaf in leaves for line in (read_as_vector(leaf), loses_digits(leaf)) if line)
    return _Spaces(tuple(fact for fact, holds in facts.items() if holds), lines)


def _rounding(config: RunConfig) -> str | None:
    """Return a line that says how long a run really trains if that is much longer than its `total_steps`."""
    per_update = config.algo.n_steps * config.algo.n_envs
    steps = Budget(total_steps=config.total_steps, steps_per_update=per_update).steps
    if steps <= (1.0 + NOTABLE) * config.total_steps:
        return None
    return (
        f"total_steps={config.total_steps:,} is rounded up to {steps:,}: an update takes {per_update:,} env steps "
        f"(algo.n_steps={config.algo.n_steps}, algo.n_envs={config.algo.n_envs})."
    )
