"""Environments drawn at random: spaces of every kind and nesting, and faults that each of their methods can have."""

from __future__ import annotations

import asyncio
import decimal
import fractions
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from hypothesis import strategies as st

from acexp.core.errors import UserError

ID = "AnyOne-v0"

# --- spaces ---

LARGEST = float(np.finfo(np.float32).max)
BOUNDS = [(-1.0, 1.0), (0.0, 100.0), (-np.inf, np.inf), (0.0, np.inf), (-LARGEST, LARGEST), (0.0, 0.0), (-1e11, 3.0)]
FLOATS, INTEGERS = (np.float32, np.float64, np.float16), (np.int64, np.int32, np.int8, np.uint8, np.uint16)
SHAPES = [(), (1,), (2,), (3, 2), (1, 1, 1), (0,), (2, 0), (1, 2, 1, 2, 1)]
IMAGES = [(36, 36), (40, 36, 3), (3, 36, 40), (2, 36, 36, 1), (35, 35, 3)]


class Strange(gym.Space[Any]):
    """A space of a kind that nobody knows."""

    def sample(self, *arguments: Any, **options: Any) -> Any:
        return 0

    def contains(self, x: Any) -> bool:
        return True


def _box(shape: tuple[int, ...], dtype: Any, bounds: tuple[float, float]) -> gym.Space[Any]:
    low, high = bounds
    if not np.issubdtype(dtype, np.floating):
        info = np.iinfo(dtype)
        low, high = max(low, float(info.min)), min(high, float(info.max))
        low, high = (max(low, -1e6), min(high, 1e6)) if info.bits > 16 else (low, high)
        return spaces.Box(int(low), int(high), shape, dtype)
    if dtype is np.float16:
        low, high = max(low, -6e4), min(high, 6e4)
    return spaces.Box(low, high, shape, dtype)


BOXES = st.builds(_box, st.sampled_from(SHAPES), st.sampled_from([*FLOATS, *INTEGERS]), st.sampled_from(BOUNDS))
IMAGE_BOXES = st.builds(
    lambda shape, dtype: spaces.Box(0, 255, shape, dtype),
    st.sampled_from(IMAGES),
    st.sampled_from([np.uint8, np.float32]),
)
DISCRETES = st.builds(spaces.Discrete, st.sampled_from([1, 2, 7, 5000]), start=st.sampled_from([0, -3, 10]))
MULTI_DISCRETES = st.builds(
    lambda sizes: spaces.MultiDiscrete(np.array(sizes)), st.sampled_from([[2], [1, 3], [2, 2, 2], [[2, 3], [4, 1]]])
)
MULTI_BINARIES = st.builds(spaces.MultiBinary, st.sampled_from([1, 3, (2, 2)]))
LEAVES = st.one_of(BOXES, IMAGE_BOXES, DISCRETES, MULTI_DISCRETES, MULTI_BINARIES)
UNKNOWN = st.one_of(
    st.just(spaces.Text(5)),
    st.just(spaces.Sequence(spaces.Discrete(3))),
    st.just(spaces.Graph(spaces.Discrete(2), None)),
    st.just(spaces.OneOf((spaces.Discrete(2), spaces.Box(-1, 1, (2,))))),
    st.just(Strange((2,), np.float32)),
)
KEYS = st.sampled_from(["a", "b", "a.b", "ä ö", "", "[red]", "/", "observation", "done", "0"])


def nested(leaves: st.SearchStrategy[gym.Space[Any]]) -> st.SearchStrategy[gym.Space[Any]]:
    """Spaces of these leaves, alone or in dicts and tuples."""
    return st.recursive(
        leaves,
        lambda parts: st.one_of(
            st.dictionaries(KEYS, parts, max_size=3).map(lambda content: spaces.Dict(content)),
            st.lists(parts, max_size=3).map(lambda content: spaces.Tuple(tuple(content))),
        ),
        max_leaves=4,
    )


SUPPORTED, ANY = nested(LEAVES), nested(st.one_of(LEAVES, UNKNOWN))
OBSERVATION_SPACES = st.one_of(SUPPORTED, SUPPORTED, SUPPORTED, ANY)
FLOAT_BOXES = st.builds(_box, st.sampled_from([(), (2,), (2, 2)]), st.sampled_from(FLOATS), st.sampled_from(BOUNDS))
ACTION_SPACES = st.one_of(DISCRETES, FLOAT_BOXES, FLOAT_BOXES, MULTI_DISCRETES, MULTI_BINARIES, BOXES, ANY)


def is_supported(space: gym.Space[Any]) -> bool:
    """Whether networks can be built for observations of this space."""
    match space:
        case spaces.Dict():
            return all(map(is_supported, space.spaces.values()))
        case spaces.Tuple():
            return all(map(is_supported, space.spaces))
    return isinstance(space, spaces.Box | spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary)


def n_values(space: gym.Space[Any]) -> int:
    """The number of values in an observation of a supported space."""
    match space:
        case spaces.Dict():
            return sum(map(n_values, space.spaces.values()))
        case spaces.Tuple():
            return sum(map(n_values, space.spaces))
    return int(np.prod(space.shape or ()))


def is_supported_for_actions(space: gym.Space[Any]) -> bool:
    """Whether there is a distribution of such actions."""
    if isinstance(space, spaces.Box):
        return np.issubdtype(space.dtype, np.floating) and n_values(space) > 0
    return isinstance(space, spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary)


# --- what goes wrong ---


class Sulking(BaseException):
    """Not an Exception, as the errors of some libraries for concurrency and testing are not."""


class Mute(Exception):  # noqa: N818
    """An exception that cannot be shown."""

    def __str__(self) -> str:
        raise ValueError("I have no words")


class Shy:
    """A value that cannot be shown, compared or converted."""

    def __repr__(self) -> str:
        raise RuntimeError("do not look at me")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("I am like nobody")

    __hash__ = None  # type: ignore[assignment]

    def __array__(self, *arguments: Any, **options: Any) -> Any:
        raise RuntimeError("I am no array")


EXCEPTIONS: dict[str, Callable[[], BaseException]] = {
    "KeyError": lambda: KeyError("map"),
    "IndexError": lambda: IndexError("list index out of range"),
    "OSError": lambda: OSError(28, "No space left on device", "level.map"),
    "FileNotFoundError": lambda: FileNotFoundError(2, "No such file or directory", "my.xml"),
    "ConnectionResetError": lambda: ConnectionResetError("the simulator is gone"),
    "BrokenPipeError": lambda: BrokenPipeError(32, "Broken pipe"),
    "TimeoutError": lambda: TimeoutError(),
    "EOFError": lambda: EOFError(),
    "AssertionError": lambda: AssertionError(),
    "StopIteration": lambda: StopIteration("over"),
    "MemoryError": lambda: MemoryError(),
    "RecursionError": lambda: RecursionError("maximum recursion depth exceeded"),
    "NotImplementedError": lambda: NotImplementedError(),
    "AttributeError": lambda: AttributeError("'NoneType' object has no attribute 'x'"),
    "ImportError": lambda: ImportError("libGL.so.1: cannot open shared object file"),
    "ModuleNotFoundError": lambda: ModuleNotFoundError("No module named 'simulator'", name="simulator"),
    "SyntaxError": lambda: SyntaxError("invalid syntax"),
    "UnicodeDecodeError": lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    "ZeroDivisionError": lambda: ZeroDivisionError("division by zero"),
    "FloatingPointError": lambda: FloatingPointError("overflow"),
    "UserWarning": lambda: UserWarning("deprecated"),
    "ExceptionGroup": lambda: ExceptionGroup("two", [ValueError("a"), KeyError("b")]),
    "of several lines": lambda: ValueError("one\ntwo\nthree"),
    "of nothing": lambda: ValueError("\n"),
    "of markup": lambda: ValueError("[red]stop[/red] [/nothing] {x} %s"),
    "of signs": lambda: ValueError("\x1b[31m\x00\udc80 ü"),
    "very long": lambda: ValueError("x" * 100_000),
    "mute": Mute,
    "of Gymnasium": lambda: gym.error.ResetNeeded("Cannot call env.step() before calling env.reset()"),
    "not installed": lambda: gym.error.DependencyNotInstalled("pygame is not installed"),
    "of acexp": lambda: UserError("No such map.", key="env.kwargs.map", value="x", remedy="draw one"),
    "of torch": lambda: torch.OutOfMemoryError("CUDA out of memory"),
    "SystemExit": lambda: SystemExit(3),
    "SystemExit in words": lambda: SystemExit("Simulator not found."),
    "CancelledError": lambda: asyncio.CancelledError(),
    "BaseException": lambda: Sulking("no"),
    "GeneratorExit": lambda: GeneratorExit(),
}
VALUES: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "NotImplemented": lambda: NotImplemented,
    "nan": lambda: float("nan"),
    "inf": lambda: float("-inf"),
    "beyond float32": lambda: 1e39,
    "large": lambda: 1e30,
    "beyond float64": lambda: 10**400,
    "zero": lambda: 0,
    "minus one": lambda: -1,
    "a million": lambda: 10**6,
    "half": lambda: 0.5,
    "True": lambda: True,
    "complex": lambda: 1j,
    "text": lambda: "left",
    "number in words": lambda: "1.0",
    "bytes": lambda: b"\xff",
    "list": lambda: [1.0],
    "empty list": list,
    "ragged": lambda: [[0.0], [0.0, 1.0]],
    "list in itself": lambda: (lambda own: own.append(own) or own)([]),
    "dict": lambda: {"a": 1.0},
    "set": lambda: {1.0},
    "generator": lambda: (x for x in (1.0, 2.0)),
    "array of one": lambda: np.ones(1),
    "array of two": lambda: np.ones(2),
    "array of three": lambda: np.ones(3, np.float32),
    "array of nan": lambda: np.full(2, np.nan, np.float32),
    "array of huge": lambda: np.full(2, 1e300),
    "array of objects": lambda: np.array([None, "a"], object),
    "array of words": lambda: np.array(["a", "b"]),
    "array of times": lambda: np.array(["2020-01-01"], "datetime64[D]"),
    "time": lambda: np.timedelta64(1, "s"),
    "array of fields": lambda: np.zeros(2, [("a", "f4"), ("b", "i4")]),
    "masked": lambda: np.ma.masked_array([1.0, 2.0], mask=[True, False]),
    "scalar array": lambda: np.array(1.0),
    "int64": lambda: np.int64(2**62),
    "longdouble": lambda: np.longdouble(1e300),
    "tensor": lambda: torch.ones(2, requires_grad=True),
    "tensor of one": lambda: torch.tensor(1.0),
    "decimal": lambda: decimal.Decimal("1.5"),
    "fraction": lambda: fractions.Fraction(1, 3),
    "object": object,
    "class": lambda: int,
    "function": lambda: len,
    "shy": Shy,
    "shy in a tuple": lambda: (Shy(),),
}
GENERATORS: dict[str, Callable[[], Any]] = {
    "RandomState": lambda: np.random.RandomState(0),
    "MT19937": lambda: np.random.Generator(np.random.MT19937(0)),
    "Philox": lambda: np.random.Generator(np.random.Philox(0)),
    "SFC64": lambda: np.random.Generator(np.random.SFC64(0)),
    "of Python": lambda: random.Random(0),
    "of torch": lambda: torch.Generator(),
    "None": lambda: None,
    "number": lambda: 7,
    "shy": Shy,
}
PARTS = ("observation", "reward", "terminated", "truncated", "info")


class Fault(NamedTuple):
    """One thing that an environment does wrong.

    Attributes:
        where: The method or attribute: `__init__`, `reset`, `step`, `close`, `render`, or an attribute's name.
        what: `raise` with the name of an exception, `return` or a part of what is returned with the name of a value.
        value: That name.
        call: The number of the method's first call, from 1, that goes wrong; all later ones do too.
        instance: The number of the only instance that is wrong; None if all are.
    """

    where: str
    what: str
    value: str
    call: int = 1
    instance: int | None = None


ATTRIBUTES = st.sampled_from(
    ["observation_space", "action_space", "metadata", "render_mode", "spec", "np_random", "unwrapped"]
)
STEPS = st.sampled_from([1, 2, 33, 33, 35, 40])
RESETS = st.sampled_from([1, 2, 8, 8, 9])
WHICH = st.sampled_from([None, None, None, 0, 1, 2, 3, 4, 6])
NAMES_OF_EXCEPTIONS = st.sampled_from(sorted(EXCEPTIONS))
NAMES_OF_VALUES = st.sampled_from(sorted(VALUES))
FAULTS = st.one_of(
    st.builds(Fault, st.just("__init__"), st.just("raise"), NAMES_OF_EXCEPTIONS, st.just(1), WHICH),
    st.builds(Fault, st.just("reset"), st.just("raise"), NAMES_OF_EXCEPTIONS, RESETS, WHICH),
    st.builds(Fault, st.just("step"), st.just("raise"), NAMES_OF_EXCEPTIONS, STEPS, WHICH),
    st.builds(Fault, st.just("reset"), st.just("return"), NAMES_OF_VALUES, RESETS, WHICH),
    st.builds(Fault, st.just("step"), st.just("return"), NAMES_OF_VALUES, STEPS, WHICH),
    st.builds(Fault, st.just("reset"), st.sampled_from(["observation", "info"]), NAMES_OF_VALUES, RESETS, WHICH),
    st.builds(Fault, st.just("step"), st.sampled_from(PARTS), NAMES_OF_VALUES, STEPS, WHICH),
    st.builds(Fault, st.sampled_from(["close", "render"]), st.just("raise"), NAMES_OF_EXCEPTIONS, st.just(1), WHICH),
    st.builds(Fault, ATTRIBUTES, st.just("return"), NAMES_OF_VALUES, st.just(1), WHICH),
    st.builds(Fault, ATTRIBUTES, st.just("raise"), NAMES_OF_EXCEPTIONS, st.just(1), WHICH),
    st.builds(Fault, st.just("generator"), st.just("return"), st.sampled_from(sorted(GENERATORS)), st.just(1), WHICH),
)  # fmt: skip


@dataclass
class Plan:
    """An environment as it was drawn, and the instances of it that have been made.

    Attributes:
        observation_space, action_space: Its spaces.
        faults: What it does wrong.
        length: The number of steps of an episode.
        n_made: The number of instances that have been made.
    """

    observation_space: gym.Space[Any]
    action_space: gym.Space[Any]
    faults: tuple[Fault, ...] = ()
    length: int = 6
    n_made: int = field(default=0, compare=False)

    @property
    def is_supported(self) -> bool:
        """Whether networks can be built for its spaces."""
        space = self.observation_space
        return is_supported(space) and n_values(space) > 0 and is_supported_for_actions(self.action_space)

    def register(self) -> None:
        """Make Gymnasium know the environment under ID."""
        gym.registry.pop(ID, None)
        gym.register(ID, entry_point=self.make)

    def make(self, **options: Any) -> gym.Env[Any, Any]:
        """Make one more instance."""
        number, self.n_made = self.n_made, self.n_made + 1
        mine = [fault for fault in self.faults if fault.instance in (None, number)]
        properties = {
            fault.where: property(lambda env, fault=fault: outcome(fault), lambda env, value: None)
            for fault in mine
            if fault.where not in ("__init__", "reset", "step", "close", "render", "generator")
        }
        return type("AnyOne", (Drawn,), properties)(self, mine)


def outcome(fault: Fault, right: Any = None) -> Any:
    """Raise the fault's exception, or return its value instead of the right one, or in a part of it."""
    if fault.what == "raise":
        raise EXCEPTIONS[fault.value]()
    if fault.where == "generator":
        return GENERATORS[fault.value]()
    value = VALUES[fault.value]()
    if fault.what == "return":
        return value
    if not isinstance(right, tuple):
        return right  # an earlier fault has left nothing of the result
    names = PARTS if len(right) == len(PARTS) else ("observation", "info")
    return tuple(value if name == fault.what else part for name, part in zip(names, right, strict=False))


class Drawn(gym.Env[Any, Any]):
    """An environment that returns what its space samples, and counts its own mistakes."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012

    def __init__(self, plan: Plan, faults: list[Fault]) -> None:
        self.plan, self.faults, self.calls, self.t = plan, faults, dict.fromkeys(("reset", "step", "close"), 0), 0
        self.own = np.random.default_rng(0)
        for name in ("observation_space", "action_space"):
            setattr(self, name, getattr(plan, name))
        for fault in faults:
            if fault.where == "__init__":
                outcome(fault)

    def called(self, method: str, right: Any = None) -> Any:
        """Return what the method returns: the right thing, or that of a fault."""
        self.calls[method] = self.calls.get(method, 0) + 1
        for fault in self.faults:
            if fault.where == method and self.calls[method] >= fault.call:
                right = outcome(fault, right)
        return right

    def observe(self) -> Any:
        self.plan.observation_space.seed(int(self.random().integers(2**31)))
        return self.plan.observation_space.sample()

    def random(self) -> np.random.Generator:
        """Its own generator, where something is wrong with that of Gymnasium."""
        is_wrong = any(fault.where == "np_random" for fault in self.faults)
        return self.np_random if not is_wrong and isinstance(self.np_random, np.random.Generator) else self.own

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        if seed is not None:
            self.own = np.random.default_rng(seed)
        super().reset(seed=seed)
        for fault in self.faults:
            if fault.where == "generator":
                self.np_random = outcome(fault)
        self.t = 0
        return self.called("reset", (self.observe(), {"t": self.t}))

    def step(self, action: Any) -> Any:
        self.t += 1
        result = (
            self.observe(),
            float(self.random().standard_normal()),
            self.t == self.plan.length,
            False,
            {"t": self.t},
        )
        return self.called("step", result)

    def render(self) -> Any:
        return self.called("render", np.zeros((8, 8, 3), np.uint8))

    def close(self) -> None:
        self.called("close")


PLANS = st.builds(
    Plan,
    OBSERVATION_SPACES,
    ACTION_SPACES,
    st.lists(FAULTS, max_size=2).map(tuple),
    st.sampled_from([1, 2, 6, 1000]),
)
FAULTY_PLANS = st.builds(
    Plan,
    st.sampled_from([spaces.Box(-1.0, 1.0, (2,)), spaces.Discrete(3), spaces.Dict(a=spaces.Box(-1.0, 1.0, (2,)))]),
    st.sampled_from([spaces.Discrete(2), spaces.Box(-1.0, 1.0, (2,))]),
    st.one_of(st.tuples(FAULTS), st.tuples(FAULTS), st.tuples(FAULTS, FAULTS)),
    st.sampled_from([2, 5, 1000]),
)
