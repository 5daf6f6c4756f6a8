"""Mistakes that a user can make, as one exception that says what to do about them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, replace

MAX_CHOICES_SHOWN = 24


def nearest(value: str, choices: Iterable[str]) -> str | None:
    """The choice that looks most like `value`, or None when none is near."""
    matches = difflib.get_close_matches(value, list(choices), n=1, cutoff=0.55)
    return matches[0] if matches else None


@dataclass(eq=False)
class UserError(Exception):
    """Something the user asked for cannot be done; shown without a traceback, exit code 2.

    Attributes:
        problem: what is wrong, in one sentence.
        key: the config key at fault, for instance `optim.learning_rate`.
        value: the value found there.
        place: where it was said: an override on the command line, or a file.
        choices: what would have been accepted.
        remedy: what to do.
    """

    problem: str
    key: str | None = None
    value: object = None
    place: str | None = None
    choices: tuple[str, ...] = ()
    remedy: str | None = None

    def __reduce__(self) -> tuple[type[UserError], tuple[object, ...]]:
        """An exception is pickled by its positional arguments; these must be all of them to reach another process."""
        return UserError, (self.problem, self.key, self.value, self.place, self.choices, self.remedy)

    def under(self, prefix: str) -> UserError:
        """The same error with `prefix.` before its key: components know their fields, not where they are mounted."""
        return replace(self, key=f"{prefix}.{self.key}" if self.key else prefix)

    def at(self, place: str | None) -> UserError:
        """The same error with the place where the value was said, unless it is known already."""
        return self if self.place or not place else replace(self, place=place)

    def __str__(self) -> str:
        rows = [("key", self.key), ("value", None if self.value is None else str(self.value)), ("place", self.place)]
        if self.choices:
            shown = ", ".join(self.choices[:MAX_CHOICES_SHOWN])
            more = len(self.choices) - MAX_CHOICES_SHOWN
            rows.append(("choices", shown + (f", and {more} more" if more > 0 else "")))
            rows.append(("did you mean", self._meant()))
        rows.append(("remedy", self.remedy))
        lines = [f"  {label + ':':<14}{text}" for label, text in rows if text]
        return "\n".join([self.problem, *lines])

    def _meant(self) -> str | None:
        if isinstance(self.value, str):
            near = nearest(self.value, self.choices)
            return near if near != self.value else None
        # Of keys the last words are compared: what stands before them is long, and the same.
        by_word = {choice.rpartition(".")[2]: choice for choice in self.choices}
        word = (self.key or "").rpartition(".")[2]
        near = nearest(word, by_word)
        return by_word[near] if near and near != word else None
