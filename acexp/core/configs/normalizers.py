"""The settings of normalizers."""

from __future__ import annotations

from dataclasses import dataclass

from acexp.core.errors import UserError
from acexp.core.settings import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalizerConfig:
    """The settings of every observation normalizer. The config of your own may inherit from it and add fields.

    Attributes:
        name: Name of the normalizer in NORMALIZERS.
        clip: Largest magnitude of an observation that was scaled by its running mean and variance; `inf` for no bound.
    """

    name: str
    clip: float = setting(10.0, since=2)

    def __post_init__(self) -> None:
        if not self.clip > 0.0:
            raise UserError(
                "Observations are clipped at a positive number.",
                key="clip",
                value=self.clip,
                remedy="normalizer.clip=inf leaves them as they are",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardNormalizerConfig:
    """The config of a reward normalizer: its name in REWARD_NORMALIZERS."""

    name: str
