"""Layer 2: the parts of a population, put side by side."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from acexp.architectures import Architecture
from acexp.clipping import Clip
from acexp.core.losses import Objective
from acexp.normalizers import ObservationNormalizer, RewardNormalizer
from acexp.optimizers import OptimizerGroup
from acexp.rollout import Collector


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """M members that train together, as the parts that the loop moves. A single run is a population of one.

    Attributes:
        learning: bool `[M]`, changed in place: False once a member's gradient was not finite. It then stands still,
            and the others go on.
    """

    collector: Collector
    observe: ObservationNormalizer
    reward_normalizer: RewardNormalizer
    architecture: Architecture
    objective: Objective
    groups: tuple[OptimizerGroup, ...]
    clip: Clip
    normalize_advantage: bool
    learning: Tensor
