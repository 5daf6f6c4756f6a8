"""Observation and reward normalization, with separate statistics for each member."""

from acexp.normalizers.observation import (
    NORMALIZERS,
    LeafNormalizer,
    NormalizerConfig,
    ObservationNormalizer,
    build_observation_normalizer,
)
from acexp.normalizers.reward import REWARD_NORMALIZERS, RewardNormalizer, RewardNormalizerConfig

__all__ = [
    "NORMALIZERS",
    "REWARD_NORMALIZERS",
    "LeafNormalizer",
    "NormalizerConfig",
    "ObservationNormalizer",
    "RewardNormalizer",
    "RewardNormalizerConfig",
    "build_observation_normalizer",
]
