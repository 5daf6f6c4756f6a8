"""Registries of the config groups, which map a name to a config class and a builder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from acexp.core.errors import UserError

B = TypeVar("B", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Entry(Generic[B]):
    """The config class and the builder that are registered under one name."""

    name: str
    config: type[Any]
    build: B

    @property
    def summary(self) -> str:
        """The first line of the builder's docstring, without its period."""
        return (self.build.__doc__ or "").strip().split("\n")[0].rstrip(".")


class Registry(Generic[B]):
    """The choices of one config group.

    >>> activations: Registry[Callable[[], float]] = Registry("activation")
    >>> @activations.register("one")
    ... def one() -> float:
    ...     "Always one."
    ...     return 1.0
    >>> activations["one"].build()
    1.0
    """

    def __init__(self, group: str, default_config: type[Any] = object, listed_as: str | None = None) -> None:
        """Create an empty registry. `acexp list` knows it by `listed_as`, if not by its group."""
        self.group = group
        self._listed_as = listed_as or group
        self._default_config = default_config
        self._entries: dict[str, Entry[B]] = {}

    def register(self, name: str, config: type[Any] | None = None) -> Callable[[B], B]:
        """Return a decorator that registers a builder (a function or a class) as `name`.

        Registering the same builder twice is allowed, since a plugin may be imported twice; registering another
        builder under a taken name raises ValueError.
        """

        def decorate(build: B) -> B:
            taken = self._entries.get(name)
            if taken is not None and (taken.build.__module__, taken.build.__qualname__) != (
                build.__module__,
                build.__qualname__,
            ):
                raise ValueError(f"{self.group} {name!r} is registered already, by {taken.build.__module__}")
            self._entries[name] = Entry(name, config or self._default_config, build)
            return build

        return decorate

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._entries)

    def config_of(self, name: object) -> type[Any]:
        """Return the config class that is registered under a name, the group's default class for an unknown one."""
        return self._entries[name].config if name in self._entries else self._default_config

    def __getitem__(self, name: str) -> Entry[B]:
        """Return the entry of this name. Raises UserError, which lists the choices, if there is none."""
        if name not in self._entries:
            raise UserError(
                f"There is no {self.group} called {name!r}.",
                value=name,
                choices=self.names,
                remedy=f"choose one of these, or register your own and name its module in plugins=[...]; "
                f"`acexp list {self._listed_as}` describes each",
            )
        return self._entries[name]
