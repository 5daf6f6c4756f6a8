"""The exception for mistakes that a user can correct, with a message that explains how."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, replace

MAX_CHOICES_SHOWN = 24
SIMILAR = 0.7
"""The similarity, from 0 to 1, from which on a word is suggested: that of two words of four letters, one of them wrong,
is 0.75."""


def nearest(value: str, choices: Iterable[str]) -> str | None:
    """Return the choice most similar to `value`, or None if no choice is similar."""
    matches = difflib.get_close_matches(value, list(choices), n=1, cutoff=SIMILAR)
    return matches[0] if matches else None


@dataclass(eq=False)
class UserError(Exception):
    """An error that the user can correct; it is shown without a traceback, and the exit code is 2.

    Attributes:
        problem: What is wrong, in one sentence.
        key: The config key at fault, for instance `optim.learning_rate`.
        value: The value of that key.
        place: Where the value was set: an override on the command line, or a file.
        choices: The values that would have been accepted.
        remedy: What the user can do.
    """

    problem: str
    key: str | None = None
    value: object = None
    place: str | None = None
    choices: tuple[str, ...] = ()
    remedy: str | None = None

    def __reduce__(self) -> tuple[type[UserError], tuple[object, ...]]:
        """Return the class and all fields, since pickle restores an exception from its positional arguments only."""
        return UserError, (self.problem, self.key, self.value, self.place, self.choices, self.remedy)

    def under(self, prefix: str) -> UserError:
        """Return the same error with `prefix.` before its key, for a component config mounted under `prefix`."""
        return replace(self, key=f"{prefix}.{self.key}" if self.key else prefix)

    def at(self, place: str | None) -> UserError:
        """Return the same error with the place where the value was set, unless it has a place already."""
        return self if self.place or not place else replace(self, place=place)

    def __str__(self) -> str:
        rows = [("key", self.key), ("value", None if self.value is None else str(self.value)), ("place", self.place)]
        if self.choices:
            shown = ", ".join(self.choices[:MAX_CHOICES_SHOWN])
            more = len(self.choices) - MAX_CHOICES_SHOWN
            rows.append(("choices", shown + (f", and {more} more" if more > 0 else "")))
            rows.append(("did you mean", self._suggestion()))
        rows.append(("remedy", self.remedy))
        lines = [f"  {label + ':':<14}{text}" for label, text in rows if text]
        return "\n".join([self.problem, *lines])

    def _suggestion(self) -> str | None:
        if isinstance(self.value, str):
            near = nearest(self.value, self.choices)
            return near if near != self.value else None
        # Keys are compared by their last part, because their prefixes are long and mostly equal.
        full_keys = {choice.rpartition(".")[2]: choice for choice in self.choices}
        last_part = (self.key or "").rpartition(".")[2]
        near = nearest(last_part, full_keys)
        return full_keys[near] if near and near != last_part else None


def require(ok: bool, problem: str, key: str, value: object) -> None:
    """Raise UserError with this problem, key and value unless `ok` is True."""
    if not ok:
        raise UserError(problem, key=key, value=value)
