"""The environments in which choices are compared, and the preset of each."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Environment:
    """An environment and the preset that is changed in it.

    Attributes:
        name: its name in commands and files.
        title: its name on the page.
        preset: the override that chooses its preset.
        rest: the overrides of what the study changes in every run.
        earlier: overrides of A2C's runs that undo what was changed in the preset after the study had begun.
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
    earlier: str = ""
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


EVERYWHERE = ("preset", "networks", "clipping", "observations", "rewards")
"""The choices that are made in every environment; all of them in all environments would take more than twenty
hours on two cores."""

EARLIER = "clip.max_norm=5.0 arch.layer_norm=false"
"""What the A2C presets of Hopper and Walker2d had until the study found that a tighter bound and layer normalization
did well in Hopper; the study's runs of these two keep it, so that all of them can be compared."""

ENVIRONMENTS = {
    each.name: each
    for each in (
        replace(_mujoco("halfcheetah", "HalfCheetah"), has_all=True),
        replace(_mujoco("hopper", "Hopper"), earlier=EARLIER),
        # Steps of these take three and seven times as long as one of HalfCheetah.
        replace(_mujoco("walker2d", "Walker2d", *EVERYWHERE, "lambda", "deviation"), earlier=EARLIER),
        _mujoco("ant", "Ant", *EVERYWHERE),
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
