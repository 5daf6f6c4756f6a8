"""What one run is told, typed and checked."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from acexp.architectures import ArchitectureConfig
from acexp.config.checks import require
from acexp.core.annealing import require_annealing
from acexp.engines import EngineConfig, EnvironmentConfig
from acexp.normalizers import NormalizerConfig, RewardNormalizerConfig
from acexp.optimizers import DualConfig, LayoutConfig
from acexp.optimizers.clipping import ClipConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class A2CConfig:
    """The algorithm.

    Attributes:
        n_envs: N, environments per run.
        n_steps: T, steps per rollout.
        gamma: discount.
        gae_lambda: 1 gives n-step returns, less leans on the critic.
        entropy_coef: weight of the entropy bonus, in the first update.
        entropy_anneal: `none`, or `linear` to zero over the run's budget.
        value_coef: weight of the critic's loss in a joint loss.
        normalize_advantage: to mean 0 and deviation 1 within each rollout.
    """

    n_envs: int = 8
    n_steps: int = 5
    gamma: float = 0.99
    gae_lambda: float = 1.0
    entropy_coef: float = 0.0
    entropy_anneal: str = "none"
    value_coef: float = 0.5
    normalize_advantage: bool = False

    def __post_init__(self) -> None:
        require(self.n_envs >= 1, "A run has at least one environment.", "n_envs", self.n_envs)
        require(self.n_steps >= 1, "A rollout has at least one step.", "n_steps", self.n_steps)
        require(0.0 <= self.gamma <= 1.0, "A discount lies in [0, 1].", "gamma", self.gamma)
        require(0.0 <= self.gae_lambda <= 1.0, "Lambda lies in [0, 1].", "gae_lambda", self.gae_lambda)
        require(
            0.0 <= self.entropy_coef < math.inf,
            "The entropy bonus has a weight from 0 up.",
            "entropy_coef",
            self.entropy_coef,
        )
        require_annealing(self.entropy_anneal, "entropy_anneal")
        require(
            0.0 <= self.value_coef < math.inf,
            "The critic's loss has a weight from 0 up.",
            "value_coef",
            self.value_coef,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig:
    """How often metrics are written, in env steps."""

    every: int = 1000

    def __post_init__(self) -> None:
        require(self.every >= 1, "The log interval is at least one env step.", "every", self.every)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointConfig:
    """When a run is saved, beside at its end and when it is told to stop.

    Attributes:
        every: interval in env steps; None for none.
        minutes: interval in minutes; None for none.
    """

    every: int | None = None
    minutes: float | None = 1.0

    def __post_init__(self) -> None:
        for key, value in (("every", self.every), ("minutes", self.minutes)):
            require(value is None or value > 0, "An interval between checkpoints is positive, or null.", key, value)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationConfig:
    """Evaluation during training, in environments of its own; training is the same to the last bit without it.

    Attributes:
        every: interval in env steps; None for none.
        episodes: of each evaluation.
        deterministic: whether the most likely actions are taken rather than sampled ones.
    """

    every: int | None = None
    episodes: int = 10
    deterministic: bool = True

    def __post_init__(self) -> None:
        for key, value in (("every", self.every), ("episodes", self.episodes)):
            require(value is None or value > 0, "An evaluation has at least one episode and step.", key, value)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """What stands at the top level of a run's config, beside the groups.

    Attributes:
        seed: everything random descends from it.
        total_steps: env steps, rounded up to whole updates.
        device: `auto`, or what torch.device takes.
        torch_threads: None chooses: 1 for small networks, every core for convolutions.
        plugins: modules to import first, which register components of your own.
        name: of the sweep's directory; None uses a hash of its overrides.
    """

    seed: int
    total_steps: int
    device: str = "auto"
    torch_threads: int | None = None
    plugins: list[str] = field(default_factory=list)
    name: str | None = None

    def __post_init__(self) -> None:
        require(self.seed >= 0, "A seed is 0 or more.", "seed", self.seed)
        require(self.total_steps >= 1, "A run trains for at least one env step.", "total_steps", self.total_steps)
        require(
            self.torch_threads is None or self.torch_threads >= 1,
            "torch needs at least one thread.",
            "torch_threads",
            self.torch_threads,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig(RunSettings):
    """One run: its settings, and the typed config of each component."""

    env: EnvironmentConfig
    engine: EngineConfig
    a2c: A2CConfig
    arch: ArchitectureConfig
    optim: LayoutConfig
    normalizer: NormalizerConfig
    reward_normalizer: RewardNormalizerConfig
    clip: ClipConfig
    log: LogConfig
    checkpoint: CheckpointConfig
    eval: EvaluationConfig


def structure(config: RunConfig) -> RunConfig:
    """The config with everything blanked that may differ between the members of a population.

    Two runs can train together exactly when their structures are equal.
    """
    optim = replace(config.optim, learning_rate=0.0)
    if isinstance(optim, DualConfig):
        optim = replace(
            optim,
            actor=replace(optim.actor, learning_rate=0.0),
            critic=replace(optim.critic, learning_rate=0.0),
        )
    return replace(
        config,
        seed=0,
        name=None,
        a2c=replace(config.a2c, gamma=0.0, gae_lambda=0.0, entropy_coef=0.0, value_coef=0.0),
        optim=optim,
        clip=replace(
            config.clip,
            name="norm" if config.clip.name == "none" else config.clip.name,
            max_norm=1.0,
            max_value=1.0,
        ),
    )


def identity(config: RunConfig) -> str:
    """What makes it this run and no other, as a hash of its `essence`.

    Taken of a config before its `auto` is resolved, so that the same command is the same run on another machine.
    """
    return hashlib.sha256(repr(essence(config)).encode()).hexdigest()[:16]


def essence(config: RunConfig) -> RunConfig:
    """The config with everything blanked that only says where, how fast and how often a run is written."""
    return replace(
        config,
        name=None,
        device="auto",
        torch_threads=None,
        engine=replace(config.engine, threads=0),
        log=LogConfig(),
        checkpoint=CheckpointConfig(),
        eval=EvaluationConfig(),
    )


def require_equal_structure(configs: Sequence[RunConfig]) -> None:
    """Raise ValueError unless these runs can train as one population."""
    if not configs:
        raise ValueError("a population has at least one member")
    first = structure(configs[0])
    for i, config in enumerate(configs[1:], start=1):
        if structure(config) != first:
            raise ValueError(f"member {i} differs from member 0 in more than seeds and numeric hyperparameters")
