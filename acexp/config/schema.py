"""The typed config of one run, and the comparison of configs by structure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from acexp.core.configs.architectures import ArchitectureConfig
from acexp.core.configs.engines import EngineConfig, EnvironmentConfig
from acexp.core.configs.normalizers import NormalizerConfig, RewardNormalizerConfig
from acexp.core.configs.objectives import A2CConfig
from acexp.core.configs.optimizers import ClipConfig, LayoutConfig
from acexp.core.configs.policies import PolicyConfig
from acexp.core.errors import UserError, require
from acexp.core.settings import leaves_without, setting

MOST_STEPS = 10**15
MOST_THREADS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig:
    """Logging settings.

    Attributes:
        every: Interval in env steps at which metrics are written.
        info: Keys of the info that the last step of an episode returns, whose numbers are logged as `info/<key>`.
        writers: Names of the writers that log beside `metrics.jsonl`, which is always written.
    """

    every: int = 1000
    info: list[str] = setting(factory=list, since=2)
    writers: list[str] = setting(factory=lambda: ["tensorboard"], since=2)

    def __post_init__(self) -> None:
        require(self.every >= 1, "The log interval is at least one env step.", "every", self.every)
        is_distinct = len(set(self.writers)) == len(self.writers)
        require(is_distinct, "Each writer is named once.", "writers", self.writers)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointConfig:
    """When a run is saved, in addition to its end and to a requested stop.

    Attributes:
        every: Interval in env steps; None for none.
        minutes: Interval in minutes; None for none.
    """

    every: int | None = None
    minutes: float | None = 1.0

    def __post_init__(self) -> None:
        for key, value in (("every", self.every), ("minutes", self.minutes)):
            require(value is None or value > 0, "An interval between checkpoints is positive, or null.", key, value)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationConfig:
    """Evaluation during training, in separate environments; it does not change the training by a single bit.

    Attributes:
        every: Interval in env steps; None for none.
        episodes: Number of episodes of each evaluation.
        deterministic: Whether the most likely actions are taken rather than sampled ones.
        keep_best: Whether the policy with the best evaluation so far is kept beside the last one.
    """

    every: int | None = None
    episodes: int = 10
    deterministic: bool = True
    keep_best: bool = setting(False, since=2)

    def __post_init__(self) -> None:
        for key, value in (("every", self.every), ("episodes", self.episodes)):
            require(value is None or value > 0, "An evaluation has at least one episode and step.", key, value)
        if self.keep_best and self.every is None:
            raise UserError(
                "The best policy is chosen by evaluations during training, and there are none.",
                key="keep_best",
                value=True,
                remedy="set eval.every=..., the env steps from one evaluation to the next",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """The settings at the top level of a run's config, beside the groups.

    Attributes:
        seed: The seed from which all random numbers are derived.
        total_steps: Number of env steps to train for, rounded up to whole updates.
        device: `auto`, or an argument of torch.device.
        torch_threads: Number of torch's threads; None takes 1 for small networks and every core for convolutions.
        plugins: Modules to import first, which register your own components.
        name: Name of the directory of the run or sweep; None names a run by the time, and a sweep by what varies.
    """

    seed: int = setting(per_member=True)
    total_steps: int = setting()
    device: str = setting("auto", incidental=True)
    torch_threads: int | None = setting(None, incidental=True)
    plugins: list[str] = setting(factory=list)
    name: str | None = setting(None, per_member=True, incidental=True)

    def __post_init__(self) -> None:
        require(self.seed >= 0, "A seed is 0 or more.", "seed", self.seed)
        require(self.total_steps >= 1, "A run trains for at least one env step.", "total_steps", self.total_steps)
        require(
            self.total_steps <= MOST_STEPS,
            f"A run trains for at most {MOST_STEPS:.0e} env steps: that takes 30 years at a million steps per second.",
            "total_steps",
            self.total_steps,
        )
        require(
            self.torch_threads is None or 1 <= self.torch_threads <= MOST_THREADS,
            f"torch takes 1 to {MOST_THREADS:,} threads: one for small networks, and one per core for convolutions.",
            "torch_threads",
            self.torch_threads,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig(RunSettings):
    """The config of one run: its settings, and the typed config of each component."""

    env: EnvironmentConfig
    engine: EngineConfig
    algo: A2CConfig = setting(formerly="a2c")
    arch: ArchitectureConfig
    optim: LayoutConfig
    normalizer: NormalizerConfig
    reward_normalizer: RewardNormalizerConfig
    clip: ClipConfig
    policy: PolicyConfig = setting(factory=PolicyConfig, since=2)
    log: LogConfig = setting(factory=LogConfig, incidental=True)
    checkpoint: CheckpointConfig = setting(factory=CheckpointConfig, incidental=True)
    eval: EvaluationConfig = setting(factory=EvaluationConfig, incidental=True)


def structure(config: RunConfig) -> str:
    """Return a text that is equal for two runs exactly when they can train in one population."""
    leaves = dict(leaves_without(config, "per_member"))
    if config.clip.name == "none":
        leaves["clip.name"] = "norm"  # Not to clip equals clipping by an infinite norm.
    return repr(leaves)


def require_equal_structure(configs: Sequence[RunConfig]) -> None:
    """Raise ValueError unless these runs can train as one population."""
    if not configs:
        raise ValueError("a population has at least one member")
    first = structure(configs[0])
    for i, config in enumerate(configs[1:], start=1):
        if structure(config) != first:
            raise ValueError(f"member {i} differs from member 0 in more than seeds and numeric hyperparameters")
