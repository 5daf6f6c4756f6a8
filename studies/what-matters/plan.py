"""What the study compares: its environments, and the choices, each with its levels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

from acexp.config import RunConfig
from acexp.config.application import compose
from acexp.config.run_identity import identity

SEEDS = tuple(range(10))
PRESET_SEEDS = tuple(range(30))
"""The seeds of the presets: all levels are compared with them, so that their luck would move all differences."""

OTHER_SEEDS = tuple(range(30, 40))
"""The seeds on which a result that contradicts the literature is trained again."""

ALL_SEEDS = (*PRESET_SEEDS, *OTHER_SEEDS)

EPISODES = 20
"""The number of episodes in which the final policy of each run is evaluated: seeds differ far more than episodes do."""

EVERY_UPDATE = "log.every=1"
"""Logs each update by itself, for cells whose gradients are not clipped: averages of several would hide heavy tails."""

UNCLIPPED = f"clip=none {EVERY_UPDATE}"
BOUND = "clip=norm clip.max_norm=0.5"
BY_MODULE = "clip=norm clip.scope=module clip.max_norm=0.5"
"""Levels of gradient clipping that several tables compare."""


@dataclass(frozen=True)
class Environment:
    """An environment and the preset that is changed in it.

    Attributes:
        name: its name in commands and files.
        title: its name on the page.
        preset: the override that chooses its preset.
        rest: the overrides of what the study changes in every run.
        counts: whether it counts in the means over environments; those for sanity do not.
        has_numbers: whether its actions are numbers, which have a standard deviation.
        has_bounds: whether all of its observations have finite bounds.
        reads: whether its observations are numbers, which can be normalized.
        has_ppo: whether there is a preset of PPO too.
        has_all: whether it has the choices that take longest too: around PPO's preset, and at another learning rate.
        has_trunk: whether its preset has a trunk that actor and critic share.
        batch: the number of slots of a rollout of A2C's preset: environments times steps.
        choices: the names of the choices that are made in it, where all of them would take too long; empty for all.
    """

    name: str
    title: str
    preset: str
    rest: str = ""
    counts: bool = True
    has_numbers: bool = False
    has_bounds: bool = False
    reads: bool = True
    has_ppo: bool = False
    has_all: bool = False
    has_trunk: bool = True
    batch: int = 128
    choices: tuple[str, ...] = ()


def _mujoco(name: str, title: str, *choices: str) -> Environment:
    preset, rest = f"experiment={name}", "total_steps=500000"
    return Environment(name, title, preset, rest, has_numbers=True, has_ppo=True, choices=choices)


FEW = ("preset", "networks", "clipping", "observations", "rewards", "lambda", "deviation")
"""The choices that are made in every environment; all of them in all environments would take longer than fifteen hours
on two cores."""

ENVIRONMENTS = {
    each.name: each
    for each in (
        replace(_mujoco("halfcheetah", "HalfCheetah"), has_all=True),
        _mujoco("hopper", "Hopper"),
        # Steps of these take two and four times as long as one of HalfCheetah.
        _mujoco("walker2d", "Walker2d", *FEW),
        _mujoco("ant", "Ant", *FEW),
        Environment(
            "lunarlander",
            "LunarLander",
            "experiment=lunarlander",
            "total_steps=1000000 engine=envpool",
            has_bounds=True,
            has_ppo=True,
            has_all=True,
            batch=1024,
        ),
        Environment(
            "cliffwalking",
            "CliffWalking",
            "experiment=cliffwalking",
            counts=False,
            reads=False,
            has_trunk=False,
            batch=64,
        ),
        Environment(
            "cartpole",
            "CartPole",
            "env=gym",
            "env.id=CartPole-v1 engine=envpool total_steps=100000 normalizer=running",
            counts=False,
            has_trunk=False,
        ),
    )
}


@dataclass(frozen=True)
class Choice:
    """A design choice.

    Attributes:
        name: its name in commands and files.
        title: the heading of its section.
        levels: the overrides of each level; an empty one changes nothing but what the choice changes in all levels.
        needs: the name of the property that an environment must have; None for a choice of all.
        preset: the algorithm around whose preset the choice is made: `ppo`; empty for A2C.
        keeps_batch: whether the number of steps follows from that of environments, so that all rollouts are equally
            large.
        rate: the learning rate of all levels, as a share of the preset's.
        seeds: the seeds of each level's runs.
    """

    name: str
    title: str
    levels: tuple[str, ...]
    needs: str | None = None
    preset: str = ""
    keeps_batch: bool = False
    rate: float = 1.0
    seeds: tuple[int, ...] = SEEDS

    def concerns(self, environment: Environment) -> bool:
        """Return True if an environment has this choice."""
        is_chosen = not environment.choices or self.name in environment.choices
        return is_chosen and (self.needs is None or bool(getattr(environment, self.needs)))


def _each(key: str, *values: object) -> tuple[str, ...]:
    return tuple(f"{key}={value}" for value in values)


CHOICES = {
    choice.name: choice
    for choice in (
        Choice("preset", "The presets", ("",), seeds=PRESET_SEEDS),
        Choice(
            "networks",
            "Separate or shared networks, and one or two optimizers",
            (
                *(f"arch={arch} optim={optim}" for arch in ("separate", "shared") for optim in ("single", "dual")),
                *(f"arch=shared optim=dual optim.trunk={owner}" for owner in ("actor", "critic")),
            ),
        ),
        Choice(
            "clipping",
            "Gradient clipping",
            (
                UNCLIPPED,
                *_each("clip=norm clip.max_norm", 0.1, 0.5, 1.0, 5.0),
                BY_MODULE,
                "clip=value clip.max_value=0.05",
            ),
        ),
        Choice(
            "clipping-and-optimizers",
            "Gradient clipping with one optimizer and with two",
            tuple(f"optim={optim} {clip}" for optim in ("single", "dual") for clip in (UNCLIPPED, BOUND, BY_MODULE)),
            needs="has_trunk",
        ),
        Choice(
            "observations",
            "Normalization of observations",
            ("normalizer=none", "normalizer=running", "normalizer=running normalizer.clip=inf"),
            needs="reads",
        ),
        Choice("bounds", "Observations scaled by their bounds", ("normalizer=bounds",), needs="has_bounds"),
        Choice("rewards", "Normalization of rewards", _each("reward_normalizer", "none", "return_std")),
        Choice("advantages", "Normalization of advantages", _each("algo.normalize_advantage", "false", "true")),
        Choice("lambda", "Lambda of the advantage estimate", _each("algo.gae_lambda", 0.8, 0.9, 0.95, 1.0)),
        Choice(
            "distribution",
            "The distribution of actions",
            ("policy=auto", "policy.std=network", "policy=squashed", "policy=beta"),
            needs="has_numbers",
        ),
        Choice(
            "deviation",
            "The initial standard deviation",
            _each("arch.log_std_init", -2.0, -0.7, 0.0),
            needs="has_numbers",
        ),
        Choice("gain", "The initial scale of the policy's last layer", _each("arch.policy_gain", 0.01, 1.0)),
        Choice("activation", "The activation", _each("arch.activation", "tanh", "relu")),
        Choice("layer-norm", "Layer normalization", _each("arch.layer_norm", "false", "true")),
        Choice(
            "width",
            "The width of the networks",
            (
                *_each("arch=shared arch.hidden_sizes", "[64,64]", "[256,256]"),
                *_each("arch=separate arch.hidden_sizes", "[64,64]", "[256,256]"),
                "arch=separate arch.actor.hidden_sizes=[256,256]",
                "arch=separate arch.critic.hidden_sizes=[256,256]",
            ),
        ),
        Choice(
            "entropy",
            "The entropy bonus, constant or annealed",
            (
                *_each("algo.entropy_coef", 0.0, 0.01),
                "algo.entropy_coef=0.01 algo.entropy_anneal=linear",
            ),
        ),
        Choice("annealing", "Annealing of the learning rate", _each("optim.anneal", "none", "linear")),
        Choice(
            "optimizer",
            "The optimizer and its epsilon",
            (
                "optim.algorithm=rmsprop optim.eps=1e-05",
                "optim.algorithm=rmsprop_tf optim.eps=1e-05",
                *_each("optim.algorithm=adam optim.eps", 1e-8, 1e-5),
                # The root of this epsilon is what torch's RMSprop adds: what is left is how the average begins.
                "optim.algorithm=rmsprop_tf optim.eps=1e-10",
            ),
        ),
        Choice(
            "batch",
            "The shape of the batch: environments times steps",
            _each("algo.n_envs", 4, 8, 32),
            keeps_batch=True,
        ),
        Choice(
            "rate",
            "A quarter of the learning rate",
            (
                "",
                "arch.activation=relu",
                "arch=shared arch.hidden_sizes=[256,256]",
                "arch=separate arch.actor.hidden_sizes=[256,256]",
            ),
            needs="has_all",
            rate=0.25,
        ),
        Choice(
            "normalizer-and-activation",
            "Normalization of observations with each activation",
            ("normalizer=none arch.activation=relu",),
            needs="reads",
        ),
        Choice(
            "ppo",
            "Lambda in PPO",
            _each("algo.gae_lambda", 0.9, 0.95, 0.98, 1.0),
            needs="has_ppo",
            preset="ppo",
        ),
        Choice("ppo-preset", "PPO's presets", ("",), needs="has_ppo", preset="ppo"),
        Choice(
            "ppo-choices",
            "Other choices in PPO",
            (
                "arch=shared",
                "clip=none",
                "normalizer=none",
                "reward_normalizer=none",
                "algo.normalize_advantage=false",
                "arch.activation=relu",
                "optim.anneal=none",
            ),
            needs="has_all",
            preset="ppo",
        ),
    )
}

PRESETS = {name: CHOICES[name] for name in ("preset", "ppo-preset")}
"""The choices that choose nothing: what the levels of the others are compared with."""


@dataclass(frozen=True)
class Cell:
    """The runs of one environment with one level: they differ in their seeds.

    Attributes:
        environment, choice, level: what it belongs to.
        first: the identity of its run with the first seed, by which equal cells are recognized.
    """

    environment: Environment
    choice: Choice
    level: str
    first: str


def settings(environment: Environment, choice: Choice, level: str) -> list[str]:
    """Return the overrides of a cell's runs, without their seed."""
    preset = "_".join(filter(None, (environment.preset, choice.preset)))
    given = " ".join((preset, environment.rest, level)).split()
    if choice.keeps_batch:
        n_envs = int(given[-1].partition("=")[2])
        given.insert(-1, f"algo.n_steps={environment.batch // n_envs}")
    if choice.rate != 1.0:
        given.insert(-1, f"optim.learning_rate={choice.rate * _learning_rate(preset, environment.rest):g}")
    return given


def config(environment: Environment, choice: Choice, level: str, seed: int) -> RunConfig:
    """Return the config of a run."""
    return compose([*settings(environment, choice, level), f"seed={seed}"])


def cell(environment: Environment, choice: Choice, level: str) -> Cell:
    """Return the cell of a level."""
    given = (*settings(environment, choice, level), f"seed={SEEDS[0]}")
    return Cell(environment, choice, level, _identity(given))


def cells(environment: Environment, choice: Choice) -> list[Cell]:
    """Return the cells of a choice in an environment, one for each level."""
    return [cell(environment, choice, level) for level in choice.levels]


def label(level: str) -> str:
    """Return what stands for a level in tables: its overrides, without how often a run logs; `preset` for none."""
    return level.replace(EVERY_UPDATE, "").strip() or "preset"


def label_of(choice: Choice, level: str) -> str:
    """Return what stands for a level beside those of other choices."""
    algorithm = f"{choice.preset.upper()}, " if choice.preset else ""
    rate = "" if choice.rate == 1.0 else f", {choice.title.lower()}"
    return f"{algorithm}`{label(level)}`{rate}"


def preset_of(environment: Environment, algorithm: str = "") -> Cell:
    """Return the cell of an environment's preset of an algorithm, `ppo`; empty for A2C."""
    return cell(environment, replace(CHOICES["preset"], preset=algorithm), "")


def seeds_of(chosen: Cell) -> tuple[int, ...]:
    """Return the seeds of the runs that decide: a cell that equals A2C's preset has all of the preset's."""
    return PRESET_SEEDS if chosen.first == preset_of(chosen.environment).first else SEEDS


@cache
def _learning_rate(preset: str, rest: str) -> float:
    return compose([preset, *rest.split()]).optim.learning_rate


@cache
def _identity(given: tuple[str, ...]) -> str:
    return identity(compose(list(given)))
