"""The picture of the study: what one level changes in place of another, over environments and in each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
from claims import over_all
from effects import ALL, Effect, effects
from plan import BOUND, BY_MODULE, CHOICES, ENVIRONMENTS, UNCLIPPED

from acexp.report.traces import colour_of

WIDEST = 140.0
"""The end of the axis, in percent; the dot of an environment beyond it is drawn there."""


@dataclass(frozen=True)
class Comparison:
    """A level in place of another one.

    Attributes:
        label: what is changed, in words.
        choice: the name of the choice.
        level: the level.
        other: what is in its place otherwise: a level of the same choice, or of the one that `other_choice` names.
        other_choice: the name of the other level's choice, if it is another one.
    """

    label: str
    choice: str
    level: str
    other: str
    other_choice: str = ""

    def effects(self) -> list[Effect]:
        """Return the effect in each environment, and over all."""
        return effects(CHOICES[self.choice], self.level, (CHOICES[self.other_choice or self.choice], self.other))


def _networks(label: str, level: str) -> Comparison:
    return Comparison(label, "networks", level, "arch=shared optim=dual")


def _clipping(label: str, level: str) -> Comparison:
    return Comparison(label, "clipping", level, BOUND)


def _optimizer(label: str, level: str) -> Comparison:
    return Comparison(label, "optimizer", f"optim.algorithm={level}", "optim.algorithm=rmsprop optim.eps=1e-05")


def _width(label: str, level: str, other: str) -> Comparison:
    return Comparison(label, "width", f"arch={level}", f"arch={other} arch.hidden_sizes=[64,64]")


COMPARISONS = (
    _networks("separate networks, not a shared trunk", "arch=separate optim=dual"),
    _networks("one optimizer, not two", "arch=shared optim=single"),
    _networks("a trunk of the actor only, not of both losses", "arch=shared optim=dual optim.trunk=actor"),
    _networks("a trunk of the critic only, not of both losses", "arch=shared optim=dual optim.trunk=critic"),
    _clipping("no gradient clipping, not a norm of 0.5", UNCLIPPED),
    _clipping("a norm of 0.1, not 0.5", "clip=norm clip.max_norm=0.1"),
    _clipping("a norm of 5, not 0.5", "clip=norm clip.max_norm=5.0"),
    _clipping("a norm for each module, not each optimizer", BY_MODULE),
    _clipping("clipping by value, not by norm", "clip=value clip.max_value=0.05"),
    Comparison("observations not normalized", "observations", "normalizer=none", "normalizer=running"),
    Comparison(
        "observations scaled by their bounds", "bounds", "normalizer=bounds", "normalizer=running", "observations"
    ),
    Comparison(
        "normalized observations not clipped",
        "observations",
        "normalizer=running normalizer.clip=inf",
        "normalizer=running",
    ),
    Comparison("rewards not scaled", "rewards", "reward_normalizer=none", "reward_normalizer=return_std"),
    Comparison(
        "advantages normalized", "advantages", "algo.normalize_advantage=true", "algo.normalize_advantage=false"
    ),
    Comparison("lambda 0.8, not 0.95", "lambda", "algo.gae_lambda=0.8", "algo.gae_lambda=0.95"),
    Comparison("lambda 0.9, not 0.95", "lambda", "algo.gae_lambda=0.9", "algo.gae_lambda=0.95"),
    Comparison("lambda 1, not 0.95", "lambda", "algo.gae_lambda=1.0", "algo.gae_lambda=0.95"),
    Comparison("deviations from the network", "distribution", "policy.std=network", "policy=auto"),
    Comparison("actions squashed by tanh", "distribution", "policy=squashed", "policy=auto"),
    Comparison(
        "a beta policy, not a Gaussian as wide", "distribution", "policy=beta", "arch.log_std_init=-0.7", "deviation"
    ),
    Comparison("a first deviation of 0.5, not 0.14", "deviation", "arch.log_std_init=-0.7", "arch.log_std_init=-2.0"),
    Comparison("a first deviation of 1, not 0.14", "deviation", "arch.log_std_init=0.0", "arch.log_std_init=-2.0"),
    Comparison("the policy's last layer begins large", "gain", "arch.policy_gain=1.0", "arch.policy_gain=0.01"),
    Comparison("an entropy bonus of 0.01", "entropy", "algo.entropy_coef=0.01", "algo.entropy_coef=0.0"),
    Comparison("ReLU, not tanh", "activation", "arch.activation=relu", "arch.activation=tanh"),
    Comparison("layer normalization", "layer-norm", "arch.layer_norm=true", "arch.layer_norm=false"),
    _width("a shared trunk of 256 units, not 64", "shared arch.hidden_sizes=[256,256]", "shared"),
    _width("a separate actor of 256 units, not 64", "separate arch.actor.hidden_sizes=[256,256]", "separate"),
    _width("a separate critic of 256 units, not 64", "separate arch.critic.hidden_sizes=[256,256]", "separate"),
    Comparison("a quarter of the learning rate", "rate", "", "", "preset"),
    Comparison("a constant learning rate, not a falling one", "annealing", "optim.anneal=none", "optim.anneal=linear"),
    _optimizer("Adam, not RMSprop", "adam optim.eps=1e-05"),
    _optimizer("TensorFlow's RMSprop, not torch's", "rmsprop_tf optim.eps=1e-05"),
    Comparison("4 environments, not 8, at an equal batch", "batch", "algo.n_envs=4", "algo.n_envs=8"),
    Comparison("32 environments, not 8, at an equal batch", "batch", "algo.n_envs=32", "algo.n_envs=8"),
)
"""The rows of the picture. They are fixed, so that no row shows the largest of several levels."""


def rows() -> list[tuple[str, list[Effect]]]:
    """Return the label and the effects of each comparison that has been measured, the largest effect first."""
    found = [(each.label, each.effects()) for each in COMPARISONS]
    return sorted((each for each in found if over_all(each[1]) is not None), key=_size, reverse=True)


def _size(row: tuple[str, list[Effect]]) -> float:
    over = over_all(row[1])
    return 0.0 if over is None else abs(over.percent.value)


def draw(path: Path) -> None:
    """Draw a row for each comparison: the mean effect over environments with its interval, and that in each.

    Where only one environment has been measured, the interval is its own.
    """
    if not (found := rows()):
        return
    mpl.rcParams.update({"svg.hashsalt": "acexp", "font.size": 8})
    figure, axis = plt.subplots(figsize=(8.0, 1.0 + 0.19 * len(found)), layout="constrained")
    colours = {each.title: colour_of(i) for i, each in enumerate(ENVIRONMENTS.values()) if each.counts}
    labelled: dict[str, None] = {}
    for y, (_, effects_) in enumerate(found):
        for effect in effects_:
            is_over_all = effect.where == ALL
            if not (is_over_all or effect.where in colours):
                continue
            colour = "black" if is_over_all else colours[effect.where]
            name = "mean over environments" if is_over_all else effect.where
            x = max(-WIDEST, min(WIDEST, effect.percent.value))
            axis.plot(
                x,
                y,
                "D" if is_over_all else "o",
                color=colour,
                markersize=4,
                alpha=1.0 if is_over_all else 0.75,
                label=None if name in labelled else name,
                zorder=3 if is_over_all else 2,
            )
            labelled[name] = None
            if effect is over_all(effects_) and (interval := effect.percent.interval) is not None:
                axis.plot([max(-WIDEST, interval.low), min(WIDEST, interval.high)], [y, y], color=colour, linewidth=1.2)
    axis.axvline(0.0, color="grey", linewidth=0.8)
    axis.set_yticks(range(len(found)), [label for label, _ in found], fontsize=7.5)
    axis.set_ylim(len(found) - 0.5, -0.5)
    axis.set_xlim(-WIDEST - 5.0, None)
    axis.set_xlabel(
        "change of the final policy's return, in % of what the preset learns; lines: 95% intervals over seeds"
    )
    axis.grid(axis="x", linewidth=0.4, alpha=0.4)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=7.5, loc="lower left")
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
