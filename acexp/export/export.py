"""A trained run's policy as a file for other programs, with a page about it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from acexp.algorithm.assembly import build_policy, evaluation_engine, evaluation_noise
from acexp.config import RunConfig, from_yaml
from acexp.core.errors import UserError
from acexp.export import graph as onnx_graph
from acexp.export.card import Subject, card
from acexp.export.graph import Graph
from acexp.runs import evaluation, run_directory
from acexp.runs.evaluation import policy_file, restore
from acexp.system.files import ELSEWHERE, read_json, replace_files, unwritable

MODEL, CARD = "policy.onnx", "MODEL_CARD.md"
N_ENVS, N_STEPS = 8, 40
"""How much is played to compare the graph with torch: 320 observations."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Attributes:
        model, card: the files.
        graph: what the model holds.
        difference: the largest between its policy parameters and torch's.
        compared: on how many real observations.
    """

    model: Path
    card: Path
    graph: Graph
    difference: float
    compared: int


def export(directory: Path, out: Path | None = None, *, allow_plugins: bool = False) -> Exported:
    """Write a run's policy as ONNX, and its model card, into `out` or the run's directory.

    Nothing is written unless onnxruntime computes from real observations what torch does. Raises UserError where the
    packages, the networks or the space on the disk are missing, and where a policy cannot be expressed.
    """
    onnx_graph.require_packages()
    config = from_yaml(directory / run_directory.CONFIG, allow_plugins=allow_plugins)
    saved, summary = policy_file(directory), _json(directory / run_directory.SUMMARY)
    status, evaluated = run_directory.read_status(directory), _json(directory / evaluation.FILE)
    engine = evaluation_engine([config], N_ENVS)
    try:
        policy = build_policy([config], engine, torch.device("cpu"))
        (step,) = restore([saved], policy)
        played = onnx_graph.play_some(policy, engine, N_STEPS, evaluation_noise([config]))
        action_space = engine.action_space
    finally:
        engine.close()
    graph = onnx_graph.to_graph(policy, action_space, played, _notes(config, step))
    difference = onnx_graph.check(graph, policy, played)
    compared = len(played.parameters)
    text = card(
        Subject(
            config=config,
            policy=policy,
            action_space=action_space,
            step=step,
            graph=graph,
            file=MODEL,
            compared=compared,
            difference=difference,
            status=status,
            summary=summary,
            # An evaluation of an earlier policy tells nothing of this.
            evaluated=evaluated if evaluated.get("step") == step else {},
            versions={package: version(package) for package in ("acexp", "torch", *onnx_graph.PACKAGES)},
        )
    )
    target = out or directory
    model, page = target / MODEL, target / CARD
    _write({model: graph.content, page: text.encode()}, target)
    return Exported(model, page, graph, difference, compared)


def _notes(config: RunConfig, step: int) -> dict[str, str]:
    return {"made by": "acexp", "environment": config.env.id, "seed": str(config.seed), "env steps": str(step)}


def _json(path: Path) -> dict[str, Any]:
    """What a file of the run says; nothing where there is none."""
    try:
        return read_json(path)
    except (OSError, ValueError, TypeError):
        raise UserError(
            f"The run's {path.name} cannot be read.",
            value=str(path),
            remedy="move it away; a model card can do without",
        ) from None


def _write(contents: dict[Path, bytes], target: Path) -> None:
    try:
        target.mkdir(parents=True, exist_ok=True)
        replace_files(contents)
    except OSError as error:
        raise unwritable("The policy", error, target, ELSEWHERE) from error
