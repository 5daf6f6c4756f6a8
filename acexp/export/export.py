"""Exports a run's policy as an ONNX file with a model card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from acexp.algorithm.assembly import evaluation_engine, evaluation_noise
from acexp.config import RunConfig
from acexp.core.errors import UserError
from acexp.export import graph as onnx_graph
from acexp.export.card import TRAINED, Subject, card
from acexp.export.graph import Graph
from acexp.runs import evaluation, run_directory
from acexp.runs.saved_policy import Which, open_policy, saved_run
from acexp.system.files import CHOOSE_OUT, refuse_foreign, replace_files, unwritable

MODEL, CARD = "policy.onnx", "MODEL_CARD.md"
MADE_BY = "made by"
"""The key of a note in the model, by which acexp knows the files that it has written."""

N_ENVS, N_STEPS = 8, 40
"""The numbers of environments and of steps whose 8 x 40 = 320 observations test the graph against torch."""


@dataclass(frozen=True, slots=True)
class Exported:
    """An exported policy.

    Attributes:
        model, card: The files that were written.
        graph: The content of the model.
        difference: The largest difference between its policy parameters and torch's.
        compared: Number of real observations on which both were computed.
    """

    model: Path
    card: Path
    graph: Graph
    difference: float
    compared: int


def export(
    directory: Path, out: Path | None = None, which: Which = Which.LAST, *, allow_plugins: bool = False
) -> Exported:
    """Write a run's policy as ONNX, and its model card, into `out` or the run's directory.

    Nothing is written unless onnxruntime and torch agree on real observations. Raises UserError if packages, the run's
    networks or disk space are missing, if the policy cannot be expressed in ONNX, or if a file there is not acexp's.
    """
    onnx_graph.require_packages()
    target = out or directory
    model, page = target / MODEL, target / CARD
    refuse_foreign({model: MADE_BY, page: TRAINED})
    run = saved_run(directory, which, allow_plugins=allow_plugins)
    config = run.config
    summary = _content(run_directory.read_summary, directory, run_directory.SUMMARY)
    evaluated = _content(lambda place: evaluation.read(place, which), directory, evaluation.file_of(which))
    status = run_directory.read_status(directory)
    with open_policy([run], evaluation_engine([config], N_ENVS), which) as saved:
        policy, (step,), action_space = saved.policy, saved.steps, saved.engine.action_space
        played = onnx_graph.play_some(policy, saved.engine, N_STEPS, evaluation_noise([config]))
    graph = onnx_graph.to_graph(policy, action_space, played, _notes(config, step))
    difference = onnx_graph.check(graph, policy, played)
    compared = len(played.parameters)
    text = card(
        Subject(
            config=config,
            policy=policy,
            which=which,
            action_space=action_space,
            step=step,
            graph=graph,
            file=MODEL,
            compared=compared,
            difference=difference,
            status=status,
            summary=summary,
            # An evaluation of an earlier policy is not shown.
            evaluated=evaluated if evaluated.get("step") == step else {},
            versions={package: version(package) for package in ("acexp", "torch", *onnx_graph.PACKAGES)},
        )
    )
    _write({model: graph.content, page: text.encode()}, target)
    return Exported(model, page, graph, difference, compared)


def _notes(config: RunConfig, step: int) -> dict[str, str]:
    return {MADE_BY: "acexp", "environment": config.env.id, "seed": str(config.seed), "env steps": str(step)}


def _content(read: Callable[[Path], dict[str, Any]], directory: Path, name: str) -> dict[str, Any]:
    """Return the content of a file of the run, empty if there is none; raises UserError if it cannot be read."""
    try:
        return read(directory)
    except (OSError, ValueError, TypeError):
        raise UserError(
            f"The run's {name} cannot be read.",
            value=str(directory / name),
            remedy="move the file away; a model card can be written without it",
        ) from None


def _write(contents: dict[Path, bytes], target: Path) -> None:
    try:
        target.mkdir(parents=True, exist_ok=True)
        replace_files(contents)
    except OSError as error:
        raise unwritable("The policy", error, target, CHOOSE_OUT) from error
