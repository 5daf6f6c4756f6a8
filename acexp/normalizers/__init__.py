"""Layer 1: observation and reward normalization, with each member's own statistics."""

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
