"""Environments that are wrong in one way each, as the lines in which they differ from one that is right."""

from __future__ import annotations

from typing import NamedTuple

MODULE = """
import random
import sys

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from acexp.core.errors import UserError

BOX = spaces.Box(-1.0, 1.0, (2,), np.float32)
PIXELS = spaces.Box(0, 255, (40, 40), np.uint8)
LARGEST = np.finfo(np.float32).max
made = []


def fail(error):
    raise error


class Sulk(BaseException):  # as libraries for concurrency, for tests and of other languages raise them
    pass


class Mute(Exception):
    def __str__(self):
        fail(TypeError("no words"))


class Shy:
    def __repr__(self):
        fail(TypeError("do not look"))


class Good(gym.Env):
    observation_space = BOX
    action_space = spaces.Discrete(2)
    n_steps = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self.observe(), self.info()

    def step(self, action):
        self.t, self.n_steps = self.t + 1, self.n_steps + 1
        return self.observe(), self.reward(), self.t == 6, False, self.info()

    def observe(self):
        return np.zeros(2, np.float32)

    def reward(self):
        return 1.0

    def info(self):
        return {}

    @property
    def late(self):
        return self.n_steps == 50


class Bad(Good):
    BODY


gym.register("Bad-v0", Bad)
"""


class Case(NamedTuple):
    """The lines of the class that is wrong, and what acexp says."""

    body: str
    said: tuple[str, ...]


def code(body: str) -> str:
    """The module `bad` with an environment whose class has these lines."""
    return MODULE.replace("BODY", body.replace("\n", "\n    "))


def reward(value: str, *said: str) -> Case:
    return Case(f"reward = lambda self: {value}", ("step() returned the reward", "one finite number", *said))


def observation(space: str, value: str, *said: str) -> Case:
    return Case(
        f"observation_space = {space}\nobserve = lambda self: {value}", ("reset() returned the observation", *said)
    )


def constructor(line: str, *said: str) -> Case:
    return Case(f"def __init__(self): {line}", ("cannot be made", *said))


def spaces(body: str, *said: str) -> Case:
    return Case(body, said)


def step(value: str, *said: str) -> Case:
    return Case(f"def step(self, action): return {value}", ("step()", *said))


def reset(value: str, *said: str) -> Case:
    return Case(f"def reset(self, *, seed=None, options=None): return {value}", ("reset()", *said))


DICT = "spaces.Dict(a=BOX, b=spaces.Discrete(3))"

BEFORE = {
    "reward None": reward("None", "reward None"),
    "reward nan": reward("float('nan')", "reward nan"),
    "reward inf": reward("np.float32('inf')"),
    "reward of shape (1,)": reward("np.ones(1)", "reward array([1.])"),
    "reward of shape (2,)": reward("np.ones(2)", "reward array([1., 1.])"),
    "reward in a list": reward("[1.0]", "reward [1.0]"),
    "reward that cannot be shown": reward("Shy()", "of type Shy, which cannot be shown"),
    "reward beyond float32": reward("1e39", "reward 1e+39", "of at most 3.4e+38"),
    "reset BaseException": reset("fail(Sulk('no'))", "Sulk: no", "bad.py, line"),
    "step BaseException": step("fail(Sulk('no'))", "Sulk: no", "bad.py, line"),
    "reward in the last steps of the probe": Case(
        "reward = lambda self: None if self.n_steps == 32 else 1.0", ("step() returned the reward None",)
    ),
    "observation nan": observation("BOX", "np.array([0.0, np.nan], np.float32)", "nan", "not finite", "Box("),
    "observation inf": observation("spaces.Box(-np.inf, np.inf, (2,))", "np.array([0.0, np.inf])", "inf", "not finite"),
    "observation of another shape": observation("BOX", "np.zeros(3, np.float32)", "shape is (3,), not (2,)"),
    "observation without a shape": observation("BOX", "0.0", "shape is (), not (2,)"),
    "observation None": observation("BOX", "None", "no array of numbers"),
    "observation of floats for bytes": observation(
        "spaces.Box(0, 255, (2,), np.uint8)", "np.zeros(2)", "dtype is float64, which is not converted to uint8"
    ),
    "discrete too large": observation("spaces.Discrete(3)", "3", "observation 3", "outside of its", "Discrete(3)"),
    "discrete too small": observation("spaces.Discrete(3, start=5)", "0", "outside of its space"),
    "discrete in an array": observation("spaces.Discrete(3)", "np.zeros(1, int)", "shape is (1,), not ()"),
    "dict without a key": observation(DICT, "{'a': np.zeros(2)}", "it has no 'b'"),
    "dict with a bad part": observation(DICT, "{'a': np.zeros(2), 'b': 3}", "['b'] 3", "outside of its space"),
    "reset without info": reset("np.zeros(2, np.float32)", "no pair (observation, info)"),
    "reset None": reset("None", "returned None"),
    "reset raises": reset("fail(KeyError('start'))", "KeyError: 'start'", "bad.py, line"),
    "reset without seed": Case("def reset(self): return np.zeros(2), {}", ("reset()", "TypeError", "'seed'")),
    "reset exits": reset("sys.exit(3)", "it calls sys.exit(3)", "bad.py, line"),
    "reset raises as acexp does": reset("fail(UserError('No such map.'))", "No such map.", "bad.py, line"),
    "step of four": step("np.zeros(2), 1.0, False, {}", "not the five values"),
    "step None": step("None", "returned None"),
    "step raises": step("fail(AssertionError('no simulator'))", "AssertionError: no simulator", "bad.py, line"),
    "terminated None": step("np.zeros(2), 1.0, None, False, {}", "terminated=None"),
    "truncated in words": step("np.zeros(2), 1.0, False, 'no', {}", "truncated='no'"),
    "constructor KeyError": constructor("{}['map']", "KeyError: 'map'", "bad.py, line"),
    "constructor OSError": constructor("open('no.xml')", "FileNotFoundError", "no.xml", "bad.py, line"),
    "constructor AssertionError": constructor("assert False", "AssertionError", "bad.py, line"),
    "constructor exits": constructor("sys.exit()", "it calls sys.exit()", "bad.py, line"),
    "constructor as acexp": constructor("fail(UserError('No such map.'))", "No such map.", "bad.py, line"),
    "constructor BaseException": constructor("fail(Sulk('no'))", "Sulk: no", "bad.py, line"),
    "constructor Mute": constructor("fail(Mute())", "cannot be made: Mute", "bad.py, line"),
    "constructor without its package": Case(
        "def __init__(self): fail(gym.error.DependencyNotInstalled('pip it'))", ("needs a package", "pip it")
    ),
    "constructor with an argument": Case("def __init__(self, size): pass", ("cannot be made", "'size'")),
    "the second instance": constructor("made.append(1); assert len(made) < 2", "AssertionError", "bad.py, line"),
    "space BaseException": Case("action_space = property(lambda self: fail(Sulk('no')))", ("action_space", "Sulk: no")),
    "attribute as acexp": Case(
        "metadata = property(lambda self: fail(UserError('No such map.')))", ("Bad-v0: its instances", "No such map.")
    ),
    "no observation space": Case("observation_space = property(lambda self: fail(KeyError(1)))", ("KeyError: 1",)),
    "spaces None": spaces("action_space = None", "action_space is None", "no space of Gymnasium's"),
    "no dimensions": spaces("action_space = spaces.Box(-1, 1, (0,))", "action_space has no dimensions"),
    "no values": spaces("observation_space = spaces.Box(-1, 1, (0,))", "observation_space has no values"),
    "observations in words": spaces("observation_space = spaces.Text(5)", "not supported", "MultiDiscrete"),
    "actions in a dict": spaces("action_space = spaces.Dict(a=spaces.Discrete(2))", "not supported"),
    "observation bounds differ": spaces(
        "def __init__(self):\n    made.append(1)\n    self.observation_space = spaces.Box(-len(made), 1, (2,))",
        "observation_space differs between two instances", "Box(-1.0", "Box(-2.0",
    ),
    "action bounds differ": spaces(
        "def __init__(self):\n    made.append(1)\n    self.action_space = spaces.Discrete(1 + len(made))",
        "action_space differs between two instances", "Discrete(2)", "Discrete(3)",
    ),
}  # fmt: skip
"""What is refused before training, with exit code 2."""


def later(method: str, value: str, *said: str) -> Case:
    return Case(f"{method} = lambda self: {value} if self.late else Good.{method}(self)", said)


DURING = {
    # 50 steps and the resets after 8 episodes of 6: the 58th slot, the 115th env step of two environments.
    "reward nan": later("reward", "np.nan", "seed 3, env step 115: step() returned the reward nan; a reward is one"),
    "reward None": later("reward", "None", "seed 3, env step 115: step() returned the reward nan"),
    "reward inf": later("reward", "-np.inf", "seed 3, env step 115: step() returned the reward -inf"),
    "reward of shape (2,)": later("reward", "np.ones(2)", "env step 115: step() returned the reward array([1., 1.])"),
    "observation nan": later("observe", "np.full(2, np.nan)", "env step 115: step() returned the observation", "nan"),
    "observation of another shape": later("observe", "np.zeros(3)", "env step 115: step() returned the obs", "(3,)"),
    "discrete too large": Case(
        "observation_space = spaces.Discrete(3)\nobserve = lambda self: 3 if self.late else 0",
        ("env step 115: step() returned the observation", "3", "lie in their space"),
    ),
    "raises": later("observe", "fail(KeyError('x'))", "env step 115: step() failed: KeyError: 'x'", "place: bad.py, l"),
    "raises as acexp does": later("observe", "fail(UserError('No.'))", "env step 115: step() failed: UserError: No."),
    "raises BaseException": later("observe", "fail(Sulk('no'))", "env step 115: step() failed: Sulk: no", "bad.py, l"),
    "raises in signs": later(
        "observe", "fail(ValueError('\\x1b[31m\\udc80 ü'))", "env step 115: step() failed: ValueError: \\x1b[31m\\udc80"
    ),
    "raises Mute": later("observe", "fail(Mute())", "env step 115: step() failed: Mute", "place: bad.py, l"),
    "reward beyond float32": later("reward", "1e39", "env step 115: step() returned the reward 1e+39; a reward"),
    "exits": later("reward", "sys.exit(0)", "env step 115: step() failed: it calls sys.exit(0)"),
    "step of four": Case(
        "def step(self, action): return Good.step(self, action)[: 4 if self.n_steps == 50 else 5]",
        ("env step 115: step() returned", "not the five values"),
    ),
    "a later reset raises": Case(
        "observe = lambda self: fail(OSError('gone')) if self.n_steps == 36 and not self.t else Good.observe(self)",
        # Six episodes of 6 and five resets are 41 slots; the sixth reset is the 42nd.
        ("env step 83: reset() failed: OSError: gone",),
    ),
    "a later reset without info": Case(
        "def reset(self, **kwargs): return Good.reset(self, **kwargs)[: 1 if self.n_steps == 36 else 2]",
        ("env step 83: reset() returned", "no pair (observation, info)"),
    ),
    "the observation of a later reset": Case(
        "observe = lambda self: np.full(2, np.inf) if self.n_steps == 36 and not self.t else Good.observe(self)",
        ("env step 83: reset() returned the observation", "inf"),
    ),
}  # fmt: skip
"""What fails during training, with exit code 1."""

REPEATED = "its runs cannot be repeated: with the same seed and actions, two instances differ in "
ACTION = "action_space = spaces.Box(-{0}, {0}, (2,), {1})\n" + (
    "def step(self, action):\n    assert np.abs(action).max() < 10, action\n    return Good.step(self, action)"
)

TRAINED = {
    "close raises": Case("def close(self): raise OSError('gone')", ()),
    "close exits": Case("def close(self): sys.exit(1)", ()),
    "infos of several lengths": Case("info = lambda self: {'path': np.zeros(self.t)}", ()),
    "infos of several kinds": Case("info = lambda self: {'a': {'b': 1} if self.t else 2, 'c': [None] * self.t}", ()),
    "info None": Case("info = lambda self: None", ()),
    "np_random of old": Case(
        "def reset(self, *, seed=None, options=None):\n    result = Good.reset(self, seed=seed)\n"
        "    self.np_random = np.random.RandomState(seed)\n    return result",
        (),
    ),
    "close BaseException": Case("def close(self): fail(Sulk('no'))", ()),
    "np_random that is none": Case("np_random = property(lambda self: fail(Sulk('no')))\n"
        "def reset(self, *, seed=None, options=None):\n    self.t = 0\n    return self.observe(), {}", ()),
    "parts without values": Case(
        "observation_space = spaces.Dict(a=BOX, b=spaces.Box(-1.0, 1.0, (0,)), c=PIXELS)\n"
        "observe = lambda self: {'a': np.zeros(2), 'b': np.zeros(0), 'c': np.zeros((40, 40), np.uint8)}", ()
    ),
    "lists for tuples": Case(
        "observation_space = spaces.Tuple((BOX, spaces.Discrete(2)))\nobserve = lambda self: [[0.0, 1.0], 1]", ()
    ),
    "noise of its own": Case("observe = lambda self: np.random.rand(2)", (f"{REPEATED}the observation of reset()",)),
    "noise of Python": Case("reward = lambda self: random.random()", (f"{REPEATED}the reward of step() number 1",)),
    "largest float32 as bounds": Case(ACTION.format("LARGEST", "np.float32"), ()),
    "largest float64 as bounds": Case(ACTION.format("np.finfo(np.float64).max", "np.float64"), ()),
    "other numbers": Case(
        "def step(self, action):\n    observation, *_ = Good.step(self, action)\n"
        "    return list(observation), np.int8(1), np.bool_(self.t == 6), 0, {}",
        (),
    ),
}  # fmt: skip
"""What is no fault, or one that only needs a remark: exit code 0."""
