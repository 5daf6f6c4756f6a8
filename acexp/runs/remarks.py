"""What a user should know about runs before they train: settings without effect, and budgets that are longer."""

from __future__ import annotations

from collections.abc import Sequence

from acexp.algorithm.loop import Budget
from acexp.config import RunConfig, settings
from acexp.config.effects import without_effect

NOTABLE = 0.1
"""The part of a budget by which it may be rounded up without a remark."""


def remarks(configs: Sequence[RunConfig], overrides: Sequence[str]) -> list[str]:
    """Return a line for each override that no run reads, and for each budget that is rounded up by much."""
    unread = [without_effect(settings(config)) for config in configs]
    lines = {}
    for override in overrides:
        key = override.partition("=")[0].lstrip("+")
        reasons = list(dict.fromkeys(each[key] for each in unread if key in each))
        if reasons and all(key in each for each in unread):
            lines[override] = f"{override} has no effect with {' and '.join(reasons)}."
    return [*lines.values(), *dict.fromkeys(line for config in configs if (line := _rounding(config)))]


def _rounding(config: RunConfig) -> str | None:
    """Return a line that says how long a run really trains if that is much longer than its `total_steps`."""
    per_update = config.a2c.n_steps * config.a2c.n_envs
    steps = Budget(total_steps=config.total_steps, steps_per_update=per_update).steps
    if steps <= (1.0 + NOTABLE) * config.total_steps:
        return None
    return (
        f"total_steps={config.total_steps:,} is rounded up to {steps:,}: an update takes {per_update:,} env steps "
        f"(a2c.n_steps={config.a2c.n_steps}, a2c.n_envs={config.a2c.n_envs})."
    )
