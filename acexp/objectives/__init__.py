"""What an update minimizes: the losses of an algorithm, chosen by name, and how often they use each rollout."""

from acexp.core.configs.objectives import A2CConfig, PPOConfig
from acexp.core.losses import Objective
from acexp.objectives.a2c import a2c
from acexp.objectives.base import OBJECTIVES
from acexp.objectives.ppo import ppo

__all__ = ["OBJECTIVES", "A2CConfig", "Objective", "PPOConfig", "a2c", "ppo"]
