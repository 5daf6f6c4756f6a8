"""The design choices that are compared, each with its levels and the seeds of their runs."""

from __future__ import annotations

from dataclasses import dataclass

from environments import Environment

SEEDS = tuple(range(10))
PRESET_SEEDS = tuple(range(30))
"""The seeds of the presets: all levels are compared with them, so that their luck would move all differences."""

OTHER_SEEDS = tuple(range(30, 40))
"""The seeds on which a result that contradicts the literature is trained again."""

ALL_SEEDS = (*PRESET_SEEDS, *OTHER_SEEDS)

EVERY_UPDATE = "log.every=1"
"""Logs each update by itself, for cells whose gradients are not clipped: averages of several would hide heavy tails."""

UNCLIPPED = f"clip=none {EVERY_UPDATE}"
BOUND = "clip=norm clip.max_norm=0.5"
BY_MODULE = "clip=norm clip.scope=module clip.max_norm=0.5"
"""Levels of gradient clipping that several tables compare."""


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
