"""The picture of the study: what one level changes in place of another, over environments and in each."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
from choices import BOUND, BY_MODULE, UNCLIPPED
from comparisons import Comparison, over_all
from effects import ALL, Effect
from environments import ENVIRONMENTS

from acexp.report.traces import colour_of

WIDEST = 140.0
"""The end of the axis, in percent; the dot of an environment beyond it is drawn there."""


Row = tuple[str, Comparison]
"""What is changed, in words, and the levels that are compared."""


def _networks(label: str, level: str) -> Row:
    return label, Comparison("networks", level, "arch=shared optim=dual")


def _clipping(label: str, level: str) -> Row:
    return label, Comparison("clipping", level, BOUND)


def _optimizer(label: str, level: str) -> Row:
    return label, Comparison("optimizer", f"optim.algorithm={level}", "optim.algorithm=rmsprop optim.eps=1e-05")


def _width(label: str, level: str, other: str) -> Row:
    return label, Comparison("width", f"arch={level}", f"arch={other} arch.hidden_sizes=[64,64]")


ROWS = (
    _networks("separate networks, not a shared trunk", "arch=separate optim=dual"),
    _networks("one optimizer, not two", "arch=shared optim=single"),
    _networks("a trunk of the actor only, not of both losses", "arch=shared optim=dual optim.trunk=actor"),
    _networks("a trunk of the critic only, not of both losses", "arch=shared optim=dual optim.trunk=critic"),
    _clipping("no gradient clipping, not a norm of 0.5", UNCLIPPED),
    _clipping("a norm of 0.1, not 0.5", "clip=norm clip.max_norm=0.1"),
    _clipping("a norm of 5, not 0.5", "clip=norm clip.max_norm=5.0"),
    _clipping("a norm for each module, not each optimizer", BY_MODULE),
    _clipping("clipping by value, not by norm", "clip=value clip.max_value=0.05"),
    ("observations not normalized", Comparison("observations", "normalizer=none", "normalizer=running")),
    (
        "observations scaled by their bounds",
        Comparison("bounds", "normalizer=bounds", "normalizer=running", "observations"),
    ),
    (
        "normalized observations not clipped",
        Comparison("observations", "normalizer=running normalizer.clip=inf", "normalizer=running"),
    ),
    ("rewards not scaled", Comparison("rewards", "reward_normalizer=none", "reward_normalizer=return_std")),
    (
        "advantages normalized",
        Comparison("advantages", "algo.normalize_advantage=true", "algo.normalize_advantage=false"),
    ),
    ("lambda 0.8, not 0.95", Comparison("lambda", "algo.gae_lambda=0.8", "algo.gae_lambda=0.95")),
    ("lambda 0.9, not 0.95", Comparison("lambda", "algo.gae_lambda=0.9", "algo.gae_lambda=0.95")),
    ("lambda 1, not 0.95", Comparison("lambda", "algo.gae_lambda=1.0", "algo.gae_lambda=0.95")),
    ("deviations from the network", Comparison("distribution", "policy.std=network", "policy=auto")),
    ("actions squashed by tanh", Comparison("distribution", "policy=squashed", "policy=auto")),
    (
        "a beta policy, not a Gaussian as wide",
        Comparison("distribution", "policy=beta", "arch.log_std_init=-0.7", "deviation"),
    ),
    ("a first deviation of 0.5, not 0.14", Comparison("deviation", "arch.log_std_init=-0.7", "arch.log_std_init=-2.0")),
    ("a first deviation of 1, not 0.14", Comparison("deviation", "arch.log_std_init=0.0", "arch.log_std_init=-2.0")),
    ("the policy's last layer begins large", Comparison("gain", "arch.policy_gain=1.0", "arch.policy_gain=0.01")),
    ("an entropy bonus of 0.01", Comparison("entropy", "algo.entropy_coef=0.01", "algo.entropy_coef=0.0")),
    ("ReLU, not tanh", Comparison("activation", "arch.activation=relu", "arch.activation=tanh")),
    ("layer normalization", Comparison("layer-norm", "arch.layer_norm=true", "arch.layer_norm=false")),
    _width("a shared trunk of 256 units, not 64", "shared arch.hidden_sizes=[256,256]", "shared"),
    _width("a separate actor of 256 units, not 64", "separate arch.actor.hidden_sizes=[256,256]", "separate"),
    _width("a separate critic of 256 units, not 64", "separate arch.critic.hidden_sizes=[256,256]", "separate"),
    ("a quarter of the learning rate", Comparison("rate", "", "", "preset")),
    (
        "a constant learning rate, not a falling one",
        Comparison("annealing", "optim.anneal=none", "optim.anneal=linear"),
    ),
    _optimizer("Adam, not RMSprop", "adam optim.eps=1e-05"),
    _optimizer("TensorFlow's RMSprop, not torch's", "rmsprop_tf optim.eps=1e-05"),
    ("4 environments, not 8, at an equal batch", Comparison("batch", "algo.n_envs=4", "algo.n_envs=8")),
    ("32 environments, not 8, at an equal batch", Comparison("batch", "algo.n_envs=32", "algo.n_envs=8")),
)
"""The rows of the picture. The list is fixed, so that no row shows the largest of several levels."""


def rows() -> list[tuple[str, list[Effect]]]:
    """Return the label and the effects of each comparison that has been measured, the largest effect first."""
    found = [(words, compared.effects()) for words, compared in ROWS]
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
