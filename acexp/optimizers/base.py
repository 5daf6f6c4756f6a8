"""What one optimizer is told."""

from __future__ import annotations

from dataclasses import dataclass, field

from acexp.core.annealing import require_annealing
from acexp.core.errors import UserError


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerConfig:
    """Settings of one optimizer; an algorithm reads those that it knows.

    Attributes:
        algorithm: a name in ALGORITHMS.
        learning_rate: of the first update.
        anneal: `none`, or `linear` to zero over the run's budget.
        eps: in the denominator of adam and rmsprop; under the root in rmsprop_tf.
        alpha: decay of the squared gradients' average in rmsprop and rmsprop_tf.
        betas: decays of adam's averages.
        momentum: of rmsprop, rmsprop_tf and sgd.
    """

    algorithm: str = "adam"
    learning_rate: float = 7e-4
    anneal: str = "none"
    eps: float = 1e-5
    alpha: float = 0.99
    betas: list[float] = field(default_factory=lambda: [0.9, 0.999])
    momentum: float = 0.0

    def __post_init__(self) -> None:
        require_annealing(self.anneal, "anneal")
        if not 0.0 <= self.learning_rate < float("inf"):
            raise UserError(
                "A learning rate is a number from 0 up.",
                key="learning_rate",
                value=self.learning_rate,
                remedy="0 keeps the parameters where they are; 7e-4 is A2C's usual rate",
            )
        if not 0.0 < self.eps < float("inf"):
            raise UserError("eps is positive: it keeps a division by zero away.", key="eps", value=self.eps)
        for key, decay in (("alpha", self.alpha), ("momentum", self.momentum), *(("betas", b) for b in self.betas)):
            if not 0.0 <= decay < 1.0:
                raise UserError("A decay lies in [0, 1).", key=key, value=decay)
        if len(self.betas) != 2:
            raise UserError("betas are two numbers.", key="betas", value=str(self.betas))
