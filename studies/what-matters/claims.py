"""What the literature says of each choice, as comparisons of two levels that the data can confirm or contradict."""

from __future__ import annotations

import math
from dataclasses import dataclass

from choices import BOUND, UNCLIPPED, Choice
from comparisons import Comparison
from effects import ALL, Effect
from environments import Environment
from plan import Cell

ANDRYCHOWICZ, CHOU = "[Andrychowicz et al.][a]", "[Chou et al.][ch]"
ENGSTROM, TIANSHOU = "[Engstrom et al.][e]", "[Tianshou][tianshou]"
"""The sources, as links of the page."""

SMALL = 10.0
"""The percentage up to which a difference counts as none, where a claim says that there is none."""

NEEDED, BETTER, A_LITTLE_BETTER, NOT_WORSE, AS_GOOD, NOT_BETTER, WORSE = (
    "needed",
    "better",
    "a little better",
    "not worse",
    "as good",
    "not better",
    "worse",
)
AGREES = {
    NEEDED: (SMALL, math.inf),
    BETTER: (0.0, math.inf),
    A_LITTLE_BETTER: (0.0, SMALL),
    NOT_WORSE: (-SMALL, math.inf),
    AS_GOOD: (-SMALL, SMALL),
    NOT_BETTER: (-math.inf, SMALL),
    WORSE: (-math.inf, 0.0),
}
"""The effects that agree with what a claim says."""


@dataclass(frozen=True)
class Claim:
    """A claim that one level does better than another, or as well.

    Attributes:
        compared: the level that the claim is about, in place of another one.
        expected: how the level is said to do: one of the words above.
        text: the claim in words.
        source: the links to the sources, as on the page.
    """

    compared: Comparison
    expected: str
    text: str
    source: str


def agreement(claim: Claim, effect: Effect) -> str:
    """Return whether an effect agrees with a claim: `yes`, `no` or `undecided`, by its interval."""
    interval = effect.percent.interval
    if interval is None:
        return "undecided"
    lowest, highest = AGREES[claim.expected]
    if interval.low >= lowest and interval.high <= highest:
        return "yes"
    return "no" if interval.high < lowest or interval.low > highest else "undecided"


def _in_ppo(text: str, without: str, expected: str, source: str) -> Claim:
    """Return a claim about what PPO's preset has, in comparison with a level that it has not."""
    return Claim(
        Comparison("ppo-preset", "", without, "ppo-choices"),
        expected,
        f"In PPO, {text}",
        source,
    )


CLAIMS = (
    Claim(
        Comparison("networks", "arch=separate optim=single", "arch=shared optim=single"),
        BETTER,
        "Separate networks do better than a shared trunk.",
        ANDRYCHOWICZ,
    ),
    Claim(
        Comparison("clipping", BOUND, UNCLIPPED),
        A_LITTLE_BETTER,
        "Clipping the norm of gradients helps a little.",
        ANDRYCHOWICZ,
    ),
    Claim(
        Comparison("clipping", BOUND, UNCLIPPED),
        NOT_BETTER,
        "Clipping the norm of gradients does not help A2C.",
        TIANSHOU,
    ),
    Claim(
        Comparison("clipping", BOUND, "clip=norm clip.max_norm=5.0"),
        AS_GOOD,
        "The bound of the norm hardly matters.",
        ANDRYCHOWICZ,
    ),
    Claim(
        Comparison("observations", "normalizer=running", "normalizer=none", without="Hopper"),
        NEEDED,
        "Observations have to be normalized (but in Hopper).",
        ANDRYCHOWICZ,
    ),
    Claim(
        Comparison("observations", "normalizer=running", "normalizer=running normalizer.clip=inf"),
        AS_GOOD,
        "Whether normalized observations are clipped does not matter.",
        ANDRYCHOWICZ,
    ),
    Claim(
        Comparison("rewards", "reward_normalizer=return_std", "reward_normalizer=none"),
        NEEDED,
        "Rewards have to be scaled by the deviation of the return.",
        ENGSTROM,
    ),
    Claim(
        Comparison("advantages", "algo.normalize_advantage=true", "algo.normalize_advantage=false"),
        AS_GOOD,
        "Normalizing advantages makes little difference.",
        ANDRYCHOWICZ,
    ),
    Claim(
        Comparison("lambda", "algo.gae_lambda=0.95", "algo.gae_lambda=1.0"),
        BETTER,
        "A lambda of 0.95 does better than 1 in A2C.",
        TIANSHOU,
    ),
    Claim(
        Comparison("lambda", "algo.gae_lambda=0.9", "algo.gae_lambda=0.95"),
        NOT_WORSE,
        "A lambda of 0.9 is good everywhere: as good as 0.95 ...",
        ANDRYCHOWICZ,
    ),
    Claim(
        Comparison("lambda", "algo.gae_lambda=0.9", "algo.gae_lambda=1.0"),
        NOT_WORSE,
        "... and as good as 1.",
        ANDRYCHOWICZ,
    ),
    Claim(
        Comparison("ppo", "algo.gae_lambda=0.9", "algo.gae_lambda=0.95"),
        NOT_BETTER,
        "In PPO, a lambda of 0.9 is no better than 0.95.",
        TIANSHOU,
    ),
    Claim(
        Comparison("distribution", "policy.std=network", "policy=auto"),
        AS_GOOD,
        "Deviations may be parameters or outputs of the network.",
        ANDRYCHOWICZ,
    ),
    Claim(
        Comparison("distribution", "policy=squashed", "policy=auto"),
        A_LITTLE_BETTER,
        "Actions bounded by tanh do a little better than clipped ones.",
        ANDRYCHOWICZ,
    ),
    Claim(
        Comparison("distribution", "policy=beta", "policy=auto"),
        BETTER,
        "A beta distribution does better than a Gaussian (shown for TRPO and ACER) ...",
        CHOU,
    ),
    Claim(
        Comparison("distribution", "policy=beta", "arch.log_std_init=-0.7", "deviation"),
        BETTER,
        "... and so it does if the Gaussian begins as wide.",
        CHOU,
    ),
    Claim(
        Comparison("deviation", "arch.log_std_init=-0.7", "arch.log_std_init=0.0", without="Hopper"),
        BETTER,
        "An initial deviation of 0.5 does better than 1 (but in Hopper).",
        ANDRYCHOWICZ,
    ),
    Claim(
        Comparison("deviation", "arch.log_std_init=-0.7", "arch.log_std_init=-2.0", without="Hopper"),
        BETTER,
        "An initial deviation of 0.5 does better than a smaller one (but in Hopper).",
        ANDRYCHOWICZ,
    ),
    Claim(
        Comparison("gain", "arch.policy_gain=0.01", "arch.policy_gain=1.0"),
        NEEDED,
        "The policy's last layer has to begin a hundred times smaller.",
        ANDRYCHOWICZ,
    ),
    Claim(
        Comparison("activation", "arch.activation=relu", "arch.activation=tanh"),
        WORSE,
        "ReLU is worse than tanh.",
        ANDRYCHOWICZ,
    ),
    Claim(
        Comparison(
            "width", "arch=separate arch.critic.hidden_sizes=[256,256]", "arch=separate arch.hidden_sizes=[64,64]"
        ),
        NOT_WORSE,
        "A wide critic has no downside.",
        ANDRYCHOWICZ,
    ),
    Claim(
        Comparison("entropy", "algo.entropy_coef=0.0", "algo.entropy_coef=0.01", without="HalfCheetah"),
        NOT_WORSE,
        "An entropy bonus does not help (but in HalfCheetah; shown for PPO).",
        ANDRYCHOWICZ,
    ),
    Claim(
        Comparison("entropy", "algo.entropy_coef=0.0", "algo.entropy_coef=0.01"),
        BETTER,
        "No entropy bonus does better than one of 0.01 (noted for PPO).",
        TIANSHOU,
    ),
    Claim(
        Comparison("annealing", "optim.anneal=linear", "optim.anneal=none"),
        A_LITTLE_BETTER,
        "A learning rate that falls linearly helps a little.",
        ANDRYCHOWICZ,
    ),
    Claim(
        Comparison("annealing", "optim.anneal=linear", "optim.anneal=none"),
        BETTER,
        "A learning rate that falls linearly helps.",
        ENGSTROM,
    ),
    Claim(
        Comparison("optimizer", "optim.algorithm=adam optim.eps=1e-05", "optim.algorithm=rmsprop optim.eps=1e-05"),
        AS_GOOD,
        "Adam and RMSprop do equally well at the same rate in A2C.",
        TIANSHOU,
    ),
    Claim(
        Comparison("optimizer", "optim.algorithm=adam optim.eps=1e-05", "optim.algorithm=adam optim.eps=1e-08"),
        AS_GOOD,
        "Adam's epsilon does not matter.",
        ANDRYCHOWICZ,
    ),
    Claim(
        Comparison("batch", "algo.n_envs=32", "algo.n_envs=8"),
        WORSE,
        "More environments with shorter rollouts are worse at an equal batch.",
        ANDRYCHOWICZ,
    ),
    _in_ppo("separate networks do better than a shared trunk.", "arch=shared", BETTER, ANDRYCHOWICZ),
    _in_ppo("clipping the norm of gradients helps a little.", "clip=none", A_LITTLE_BETTER, ANDRYCHOWICZ),
    _in_ppo("observations have to be normalized (but in Hopper).", "normalizer=none", NEEDED, ANDRYCHOWICZ),
    _in_ppo("rewards have to be scaled.", "reward_normalizer=none", NEEDED, ENGSTROM),
    _in_ppo("normalizing advantages makes little difference.", "algo.normalize_advantage=false", AS_GOOD, ANDRYCHOWICZ),
    _in_ppo("tanh does better than ReLU.", "arch.activation=relu", BETTER, ANDRYCHOWICZ),
    _in_ppo("a learning rate that falls linearly helps a little.", "optim.anneal=none", A_LITTLE_BETTER, ANDRYCHOWICZ),
    _in_ppo("a learning rate that falls linearly helps.", "optim.anneal=none", BETTER, ENGSTROM),
)
"""The claims, in the order of the page."""


def contradictions(claim: Claim) -> dict[str, Effect]:
    """Return the effects that contradict a claim, by where."""
    return {each.where: each for each in claim.compared.effects() if agreement(claim, each) == "no"}


def contradicted(environment: Environment, choice: Choice) -> list[Cell]:
    """Return the cells of claims about a choice that are contradicted in an environment, or over all of them.

    An environment that does not count contradicts no claim.
    """
    if not environment.counts:
        return []
    found: dict[str, Cell] = {}
    for claim in CLAIMS:
        is_excepted = claim.compared.without == environment.title
        is_asked = claim.compared.choice == choice.name and choice.concerns(environment) and not is_excepted
        if is_asked and {environment.title, ALL} & contradictions(claim).keys():
            found |= {each.first: each for each in claim.compared.cells(environment)}
    return list(found.values())
