"""Observation and reward normalization, with separate statistics for each member."""

from acexp.core.configs.normalizers import NormalizerConfig, RewardNormalizerConfig
from acexp.normalizers.observation import (
    NORMALIZERS,
    LeafNormalizer,
    ObservationNormalizer,
    build_observation_normalizer,
)
from acexp.normalizers.reward import REWARD_NORMALIZERS, RewardNormalizer

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
