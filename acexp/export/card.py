"""The model card of an exported policy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from acexp.algorithm.policy import Policy
from acexp.config import RunConfig
from acexp.core.configs.engines import NO_LIMIT
from acexp.core.distributions import BoxDistribution, Distribution
from acexp.core.markdown import grid
from acexp.core.observations import Leaf, LeafKind
from acexp.engines import as_code
from acexp.export.graph import BATCH, Graph, Port
from acexp.normalizers import NORMALIZERS
from acexp.objectives import OBJECTIVES
from acexp.optimizers import DualConfig, OptimizerConfig
from acexp.runs.saved_policy import Which

ACTING = ("actor", "trunk")
"""The modules that the graph contains; the critic is only used in training."""

TRAINED = "Trained with acexp by synchronous advantage actor-critic"
"""The first words of a card, by which acexp knows the cards that it has written."""

LISTED = 8
"""The largest number of components that are described one by one; an observation may have hundreds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a model card describes.

    Attributes:
        config: the run's config.
        policy: the run's policy, with one member.
        which: which policy of the run it is.
        action_space: the action space of the environment.
        step: the env steps that the policy was trained for.
        graph: the policy in ONNX.
        file: the name of the file that contains the graph.
        compared: the number of observations on which the graph was compared with torch.
        difference: the largest difference that was found.
        status, summary: the contents of the run's status.json and summary.json.
        evaluated: the content of eval.json if it is about this policy, else empty.
        versions: the versions of the packages that it was exported with.
    """

    config: RunConfig
    policy: Policy
    which: Which
    action_space: gym.Space[Any]
    step: int
    graph: Graph
    file: str
    compared: int
    difference: float
    status: Mapping[str, Any]
    summary: Mapping[str, Any]
    evaluated: Mapping[str, Any]
    versions: Mapping[str, str]


def card(subject: Subject) -> str:
    """Return the model card in Markdown; the same subject gives the same text, because it contains no time."""
    config = subject.config
    parts = [
        f"# A policy for {config.env.id}",
        f"{TRAINED}. `{subject.file}` takes observations as the environment gives them and gives actions as it takes "
        f"them: normalization is part of the graph, with its statistics as they were saved.",
        f"## Use\n\n```python\n{usage(subject)}\n```",
        f"## Inputs and outputs\n\n{_ports(subject)}",
        f"## What it reached\n\n{_reached(subject)}",
        f"## Training\n\n```\n{subject.status.get('command', '')}\n```\n\n{_training(subject)}",
        f"## Network\n\n{_network(subject)}",
        f"## Limits\n\n{_limits(subject)}",
        f"## Versions\n\n{_versions(subject)}",
    ]
    return "\n\n".join(parts) + "\n"


def usage(subject: Subject) -> str:
    """Return Python code for one step in the environment, which runs in the folder of the exported file."""
    pairs = zip(subject.graph.inputs, subject.policy.observe.leaves, strict=True)
    feed = [f'"{port.name}": numpy.asarray({leaf.path}, "{port.dtype}")[None]' for port, leaf in pairs]
    inputs = f"{{{feed[0]}}}" if len(feed) == 1 else "{\n" + "".join(f"    {entry},\n" for entry in feed) + "}"
    made = as_code(subject.config.env, subject.config.plugins)
    lines = [
        "import gymnasium, numpy, onnxruntime",
        *(line for line in made if line.startswith("import ")),
        f'session = onnxruntime.InferenceSession("{subject.file}", providers=["CPUExecutionProvider"])',
        *(line for line in made if not line.startswith("import ")),
        f"action, policy = session.run(None, {inputs})",
        "observation, reward, terminated, truncated, info = env.step(action[0])",
    ]
    return "\n".join(lines)


def _ports(subject: Subject) -> str:
    leaves = subject.policy.observe.leaves
    meanings = [("input", _input_meaning(leaf)) for leaf in leaves]
    meanings += [("output", text) for text in _output_meanings(subject.action_space, subject.policy.distribution)]
    ports = (*subject.graph.inputs, *subject.graph.outputs)
    rows = [
        (kind, f"`{port.name}`", port.dtype, batched(port), text)
        for (kind, text), port in zip(meanings, ports, strict=True)
    ]
    return grid(("", "name", "dtype", "shape", "meaning"), rows)


def batched(port: Port) -> str:
    """Return the shape of a port in the graph, which begins with the batch."""
    return f"[{', '.join(map(str, (BATCH, *port.shape)))}]"


def _input_meaning(leaf: Leaf) -> str:
    what = f"`{leaf.path}`"
    match leaf.kind:
        case LeafKind.IMAGE:
            return f"{what}: pixels, from 0 to 255"
        case LeafKind.DISCRETE:
            return f"{what}: {_indices(leaf.start, leaf.categories)}"
        case LeafKind.BINARY:
            return f"{what}: 0 or 1 each"
    return f"{what}: numbers, as they are"


def _output_meanings(space: gym.Space[Any], distribution: Distribution) -> tuple[str, str]:
    """Return the meanings of the outputs `action` and `policy`."""
    match space:
        case spaces.Discrete():
            return f"the most likely action, {_indices([int(space.start)], [int(space.n)])}", "a logit for each action"
        case spaces.MultiDiscrete():
            sizes = [int(n) for n in space.nvec.reshape(-1)]
            starts = [int(s) for s in np.asarray(space.start).reshape(-1)]
            return (
                f"the most likely of each part, {_indices(starts, sizes)}",
                f"logits, side by side: {_listed(list(map(str, sizes)), ' + ')}",
            )
        case spaces.MultiBinary():
            return "1 where that is likelier than 0", "a logit of 1 for each"
        case spaces.Box():
            bounds = np.unique(np.stack((space.low.reshape(-1), space.high.reshape(-1))), axis=1)
            limits = f"[{bounds[0, 0]:g}, {bounds[1, 0]:g}]" if bounds.shape[1] == 1 else "the space's bounds"
            named = distribution if isinstance(distribution, BoxDistribution) else BoxDistribution
            return f"{named.mode_in_words}, brought into {limits}", named.parameters_in_words
    raise ValueError(f"actions from {space}")


def _indices(starts: Sequence[int], sizes: Sequence[int]) -> str:
    """Return the range of the indices of each component."""
    return _listed([f"{start} to {start + size - 1}" for start, size in zip(starts, sizes, strict=True)], ", ")


def _listed(parts: Sequence[str], between: str) -> str:
    return between.join((*parts[:LISTED], *(["..."] if len(parts) > LISTED else [])))


def _reached(subject: Subject) -> str:
    if subject.which is Which.LAST:
        return _reached_by(subject)
    chosen = f"This is the policy of env step {subject.step:,}, whose evaluation was the best during training."
    if not subject.evaluated:
        return f"{chosen} It has not been played again on other seeds: `acexp eval --which best` does that."
    return f"{chosen} Played again on other seeds, because that choice makes the score too high: {_reached_by(subject)}"


def _reached_by(subject: Subject) -> str:
    found = subject.evaluated
    if found and found["return"]["mean"] is not None:
        returns = found["return"]
        how = "its most likely actions" if found["deterministic"] else "sampled actions"
        return (
            f"Over {returns['n']} episodes in environments that training had not seen, with {how}: mean return "
            f"{returns['mean']:,.2f}, interquartile mean {returns['iqm']:,.2f}, standard deviation "
            f"{returns['std']:,.2f}, from {returns['min']:,.2f} to {returns['max']:,.2f}."
        )
    return f"{_reached_in_training(subject.summary)} It has not been evaluated: `acexp eval` does that."


def _reached_in_training(summary: Mapping[str, Any]) -> str:
    if not summary:
        return "Its training has not ended."
    mean, n = summary.get("mean_return_last_100"), min(summary.get("episodes", 0), 100)
    if mean is None:
        return "Its returns in training were not finite." if n else "No episode ended in training."
    return f"Mean return {mean:,.2f} in the last {n} episodes of training, whose actions were sampled."


def _time_limit(limit: int | None) -> str:
    """Return a time limit in words; nothing for the environment's own."""
    if limit is None:
        return ""
    return "none" if limit == NO_LIMIT else f"{limit:,} steps"


def _training(subject: Subject) -> str:
    config, status = subject.config, subject.status
    is_whole = subject.step >= config.total_steps
    steps = f"{subject.step:,}" + ("" if is_whole else f" of {config.total_steps:,}; the run is {status['status']}")
    rows = [
        ("environment", config.env.id),
        ("its arguments", ", ".join(f"{key}={value!r}" for key, value in config.env.kwargs.items())),
        ("its time limit", _time_limit(config.env.max_episode_steps)),
        ("env steps", steps),
        ("seed", str(config.seed)),
        ("batch", f"{config.algo.n_steps} steps x {config.algo.n_envs} environments"),
        ("algorithm", OBJECTIVES[config.algo.name].summary),
        ("optimizer", _optimizer(config)),
        ("observation normalizer", f"{config.normalizer.name}: {NORMALIZERS[config.normalizer.name].summary}"),
        *(
            (f"changed at env step {change['step']:,}", ", ".join(change["changes"]))
            for change in status.get("changes", ())
        ),
    ]
    return grid(("", ""), [row for row in rows if row[1]]) + "\n\n`config.yaml` in the run's directory says the rest."


def _optimizer(config: RunConfig) -> str:
    sides: dict[str, OptimizerConfig] = {"": config.optim}
    if isinstance(config.optim, DualConfig):
        sides = {" of the actor": config.optim.actor, " of the critic": config.optim.critic}
    described = [f"{side.algorithm}{whose} with learning rate {side.learning_rate:g}" for whose, side in sides.items()]
    return f"{config.optim.name}: {', '.join(described)}"


def _network(subject: Subject) -> str:
    parameters = subject.policy.architecture.parameters
    counts = {module: parameters.size(module) for module in parameters.modules}
    acting = sum(counts.get(module, 0) for module in ACTING)
    text = f"`{subject.config.arch.name}`, {sum(counts.values()):,} parameters, of which {acting:,} act."
    return f"{text}\n\n{grid(('layer', 'what it is'), subject.policy.architecture.describe())}"


def _limits(subject: Subject) -> str:
    return "\n".join(
        f"- {limit}"
        for limit in (
            f"It was trained with one seed, {subject.config.seed}: another may reach more or less.",
            f"It is for {subject.config.env.id} as it was trained in, and for nothing else.",
            f"`{subject.graph.outputs[0].name}` is always the most likely action; training sampled its own.",
            f"It was compared with torch on {subject.compared} real observations: "
            f"`{subject.graph.outputs[1].name}` differs by {_bound(subject.difference)}.",
        )
    )


def _bound(difference: float) -> str:
    """Return the next power of ten as a bound, because the digits are different on every processor."""
    return f"less than 1e{math.floor(math.log10(difference)) + 1}" if difference else "nothing"


def _versions(subject: Subject) -> str:
    def listed(versions: Mapping[str, str]) -> str:
        return ", ".join(f"{package} {version}" for package, version in versions.items())

    trained, exported = listed(subject.status.get("versions", {})), listed(subject.versions)
    return f"Trained with {trained}.\n\nExported with {exported}; ONNX opset {subject.graph.opset}."
