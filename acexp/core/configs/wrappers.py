"""The wrappers that `env.wrappers` can name."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from acexp.core.errors import UserError

NAME = "name"
"""The key of a wrapper's settings that names it; the others are arguments of its constructor."""

KEY = "env.wrappers"

_DRAWS = "`acexp video` draws episodes without it"
_TAKES_A_FUNCTION = (
    "it takes a function, which a config cannot hold; write a class of your own, and name it module:Class"
)
_CONVERTS = "acexp takes the arrays of NumPy"
_REFUSED = {
    "AtariPreprocessing": "Atari games have it already",
    "Autoreset": "the engines begin new episodes themselves",
    "NormalizeObservation": "its statistics are those of one environment, and no policy is saved with them; "
    "set normalizer=running",
    "NormalizeReward": "logged returns would be scaled too; set reward_normalizer=return_std",
    "RecordVideo": _DRAWS,
    "HumanRendering": _DRAWS,
    "RenderCollection": _DRAWS,
    "TransformObservation": _TAKES_A_FUNCTION,
    "TransformAction": _TAKES_A_FUNCTION,
    "TransformReward": _TAKES_A_FUNCTION,
    "vector": "it is a module, whose wrappers are of many environments together, which the engines step themselves",
    "ArrayConversion": _CONVERTS,
    "JaxToNumpy": _CONVERTS,
    "JaxToTorch": _CONVERTS,
    "NumpyToTorch": _CONVERTS,
}
"""The wrappers of Gymnasium that cannot work in a run, each with the reason."""

_OF_A_MODULE = re.compile(r"([A-Za-z_][\w.]*):([A-Za-z_]\w*)")


def known_wrappers() -> dict[str, str]:
    """Return the wrappers of Gymnasium that a run can have, by name, each with the first line of its docstring."""
    import gymnasium as gym  # which takes a while, and most commands need no wrapper

    found = {
        name: inspect.getdoc(cls) or ""
        for name, cls in sorted(vars(gym.wrappers).items())
        if isinstance(cls, type) and issubclass(cls, gym.Wrapper) and name not in _REFUSED
    }
    return {name: text.split("\n")[0].rstrip(".") for name, text in found.items()}


def require_wrappers(wrappers: Sequence[Mapping[str, Any]]) -> None:
    """Raise UserError unless every wrapper is one of Gymnasium's, or `module:Class`, of which nothing is imported."""
    for wrapper in wrappers:
        name = wrapper.get(NAME)
        if not isinstance(name, str):
            raise UserError(
                "A wrapper needs a name.",
                key="wrappers",
                value=dict(wrapper),
                remedy="write [{name: FrameStackObservation, stack_size: 4}]",
            )
        if name in _REFUSED:
            raise UserError(f"The wrapper {name} cannot be used: {_REFUSED[name]}.", key="wrappers", value=name)
        if _OF_A_MODULE.fullmatch(name) is None and name not in known_wrappers():
            raise UserError(
                f"Gymnasium has no wrapper called {name!r}.",
                key="wrappers",
                value=name,
                choices=tuple(known_wrappers()),
                remedy=f"name one of these, or a class of your own as module:Class; `acexp list {KEY}` describes each",
            )


def modules_of(wrappers: object) -> list[str]:
    """Return the modules that wrappers are imported from, Gymnasium's left out, of a config that is not checked yet."""
    named = [wrapper.get(NAME) for wrapper in _mappings(wrappers)]
    return [name.rpartition(":")[0] for name in named if isinstance(name, str) and ":" in name]


def _mappings(values: object) -> Iterator[Mapping[Any, Any]]:
    for value in values if isinstance(values, list | tuple) else ():
        if isinstance(value, Mapping):
            yield value
