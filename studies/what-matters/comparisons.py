"""Comparisons of two levels, whatever the presets have: what claims and the rows of the picture are about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from choices import CHOICES, Choice
from effects import ALL, SCORE, Effect, effects
from environments import ENVIRONMENTS, Environment
from plan import Cell, cell, label


@dataclass(frozen=True)
class Comparison:
    """A level in place of another one.

    Attributes:
        choice: the name of the choice.
        level: the level.
        other: what it replaces: a level of the same choice, or of the one that `other_choice` names.
        other_choice: the name of the other level's choice, if it is another one.
        without: the title of an environment that is left out, since a claim excepts it; empty if there is none.
    """

    choice: str
    level: str
    other: str
    other_choice: str = ""
    without: str = ""

    @property
    def title(self) -> str:
        """Both levels, without the settings that they share: `clip=none - clip=norm clip.max_norm=0.5`."""
        one, other = (label(level).split() for level in (self.level, self.other))
        differing = ([each for each in one if each not in other], [each for each in other if each not in one])
        return " - ".join(f"`{' '.join(only or all_)}`" for only, all_ in zip(differing, (one, other), strict=True))

    def effects(self, seeds: Sequence[int] | None = None, measure: str = SCORE) -> list[Effect]:
        """Return the effect in each environment, and over all, on the seeds that decide unless others are given."""
        against = (self._other_choice, self.other)
        return effects(CHOICES[self.choice], self.level, against, seeds, measure, self.without)

    def cells(self, environment: Environment) -> list[Cell]:
        """Return the cells of both levels in an environment."""
        return [
            cell(environment, CHOICES[self.choice], self.level),
            cell(environment, self._other_choice, self.other),
        ]

    @property
    def _other_choice(self) -> Choice:
        return CHOICES[self.other_choice or self.choice]


def over_all(found: Sequence[Effect]) -> Effect | None:
    """Return the effect over environments, or in the only one that counts; None if it has not been measured in any."""
    counted = {ALL, *(each.title for each in ENVIRONMENTS.values() if each.counts)}
    return next((each for each in reversed(found) if each.where in counted), None)
