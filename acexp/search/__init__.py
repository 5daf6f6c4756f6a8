"""Layer 5: searches for good settings with Optuna, whose trials are trained as populations."""

from acexp.search.search import Ran, Trainer, rungs_of, search
from acexp.search.trials import Trials, require_optuna

__all__ = ["Ran", "Trainer", "Trials", "require_optuna", "rungs_of", "search"]
