"""Engines, which step several environments at once, like Gymnasium's vector environments in NEXT_STEP mode."""

from acexp.core.configs.engines import AUTO, EngineConfig, EnvironmentConfig
from acexp.engines.ale import Ale
from acexp.engines.base import ENGINES, Engine, EngineBase, Step, choose_engine, is_own, open_engine, spaces_of
from acexp.engines.contract import FaultyEnvironmentError
from acexp.engines.environment import as_code, clips_rewards, is_atari, is_known
from acexp.engines.envpool import Envpool
from acexp.engines.gymnasium import Gymnasium
from acexp.engines.mujoco import Mujoco
from acexp.engines.probe import probe
from acexp.engines.processes import Processes
from acexp.engines.tabular import Tabular

__all__ = [
    "AUTO",
    "ENGINES",
    "Ale",
    "Engine",
    "EngineBase",
    "EngineConfig",
    "EnvironmentConfig",
    "Envpool",
    "FaultyEnvironmentError",
    "Gymnasium",
    "Mujoco",
    "Processes",
    "Step",
    "Tabular",
    "as_code",
    "choose_engine",
    "clips_rewards",
    "is_atari",
    "is_known",
    "is_own",
    "open_engine",
    "probe",
    "spaces_of",
]
