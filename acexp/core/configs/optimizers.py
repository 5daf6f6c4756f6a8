"""The settings of optimizers, of their layouts and of gradient clipping."""

from __future__ import annotations

from dataclasses import dataclass, field

from acexp.core.annealing import require_schedule
from acexp.core.errors import UserError
from acexp.core.settings import setting

TRUNK_OWNERS = ("both", "actor", "critic")
SCOPES = ("optimizer", "module")


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerConfig:
    """The settings of one optimizer; each algorithm reads only those that it uses.

    Attributes:
        algorithm: Name of the algorithm in ALGORITHMS.
        learning_rate: Learning rate of the first update.
        anneal: Schedule of the learning rate over the run's budget: `none`, `linear` or `cosine`.
        final_share: The share of the learning rate that is left at the end of that schedule.
        eps: Number added to the denominator of adam and rmsprop; under the root in rmsprop_tf.
        alpha: Decay of the squared gradients' average in rmsprop and rmsprop_tf.
        betas: Decays of adam's two averages.
        momentum: Momentum of rmsprop, rmsprop_tf and sgd.
    """

    algorithm: str = "adam"
    learning_rate: float = setting(7e-4, per_member=True)
    anneal: str = "none"
    final_share: float = setting(0.0, since=2)
    eps: float = 1e-5
    alpha: float = 0.99
    betas: list[float] = field(default_factory=lambda: [0.9, 0.999])
    momentum: float = 0.0

    def __post_init__(self) -> None:
        require_schedule(self.anneal, self.final_share)
        if not 0.0 <= self.learning_rate < float("inf"):
            raise UserError(
                "A learning rate must be finite and not negative.",
                key="learning_rate",
                value=self.learning_rate,
                remedy="0 leaves the parameters unchanged; 7e-4 is the usual learning rate of A2C",
            )
        if not 0.0 < self.eps < float("inf"):
            raise UserError(
                "eps must be positive and finite: it prevents a division by zero.", key="eps", value=self.eps
            )
        for key, decay in (("alpha", self.alpha), ("momentum", self.momentum), *(("betas", b) for b in self.betas)):
            if not 0.0 <= decay < 1.0:
                raise UserError("A decay must be in [0, 1).", key=key, value=decay)
        if len(self.betas) != 2:
            raise UserError("betas must be two numbers.", key="betas", value=str(self.betas))


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutConfig(OptimizerConfig):
    """The config of a layout: its name, and the settings of an optimizer."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleConfig(LayoutConfig):
    """The config of the layout with one optimizer, which has no further settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DualConfig(LayoutConfig):
    """The config of the layout with two optimizers; in the YAML, each inherits the settings that it does not set.

    Attributes:
        trunk: Which optimizers step the shared trunk: `both`, `actor` or `critic`. Without a trunk it has no effect.
        actor, critic: Settings of each optimizer.
    """

    trunk: str = "both"
    actor: OptimizerConfig = field(default_factory=OptimizerConfig)
    critic: OptimizerConfig = field(default_factory=OptimizerConfig)

    def __post_init__(self) -> None:
        LayoutConfig.__post_init__(self)
        if self.trunk not in TRUNK_OWNERS:
            raise UserError(
                f"{self.trunk!r} cannot own the shared trunk.",
                key="trunk",
                value=self.trunk,
                choices=TRUNK_OWNERS,
                remedy="with `both`, each optimizer steps the trunk with the gradient of its own loss; otherwise only "
                "one does, and the gradient of the other stops at its head",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipConfig:
    """The settings of gradient clipping. Every kind accepts every field, so that one sweep can vary the kind.

    Attributes:
        name: Kind of clipping: `norm`, `value` or `none`.
        max_norm: Largest norm of a gradient, for `norm`.
        max_value: Largest magnitude of an entry, for `value`.
        scope: What `norm` clips together: all that an `optimizer` steps, or each `module` by itself.
    """

    name: str
    max_norm: float = setting(0.5, per_member=True)
    max_value: float = setting(0.5, per_member=True)
    scope: str = "optimizer"

    def __post_init__(self) -> None:
        if self.scope not in SCOPES:
            raise UserError(
                f"There is no clipping scope called {self.scope!r}.", key="scope", value=self.scope, choices=SCOPES
            )
        for key, bound in (("max_norm", self.max_norm), ("max_value", self.max_value)):
            if not bound > 0.0:
                raise UserError(
                    "A clipping bound must be positive.", key=key, value=bound, remedy="clip=none turns clipping off"
                )
