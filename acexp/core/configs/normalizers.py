"""The settings of normalizers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalizerConfig:
    """The config of an observation normalizer: its name in NORMALIZERS."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardNormalizerConfig:
    """The config of a reward normalizer: its name in REWARD_NORMALIZERS."""

    name: str
