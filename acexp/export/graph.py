"""A policy as an ONNX graph, and whether that computes what the policy does."""

from __future__ import annotations

import importlib
import io
import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from acexp.algorithm.policy import Policy
from acexp.core.errors import UserError
from acexp.core.observations import Leaf, pick
from acexp.engines import Engine

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
ACTION, PARAMETERS = "action", "policy"
BATCH = "batch"
TOLERANCE = 1e-4
"""How far the graph's policy parameters may be from torch's, as a share of the largest, or of 1 if that is more.

Usual are 1e-6, and 1e-5 where a network reads raw pixels."""

BATCH_SIZES = (1, 7)
"""What the graph is run with, beside everything at once."""


@dataclass(frozen=True, slots=True)
class Port:
    """An input or an output of the graph.

    Attributes:
        name: in the graph.
        dtype: as NumPy calls it.
        shape: of one observation or action; the graph's own has the batch before it.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Graph:
    """A policy in ONNX.

    Attributes:
        content: the file's.
        inputs: the raw leaves of an observation, in their order.
        outputs: ACTION, the most likely action as `step` takes it, and PARAMETERS, what the distribution reads.
        opset: the version of the operators.
    """

    content: bytes
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    opset: int


@dataclass(frozen=True, slots=True)
class Played:
    """E real observations, and what the policy made of them in torch.

    Attributes:
        leaves: `[E, *shape]` each, in the dtype that the environment's space has.
        parameters: float32 `[E, K]`.
    """

    leaves: tuple[NDArray[Any], ...]
    parameters: NDArray[Any]


def require_packages() -> None:
    """Raise UserError unless the packages of the extra can be imported."""
    for package in PACKAGES:
        try:
            with _silence():
                importlib.import_module(package)
        except ImportError as error:
            raise UserError(
                f"Exporting needs the package {package}, which cannot be imported: {error}.",
                remedy="pip install 'acexp[onnx]'",
            ) from None


def play_some(policy: Policy, engine: Engine, n_steps: int, generators: Sequence[torch.Generator]) -> Played:
    """Play a policy of one member, with sampled actions so that it gets about."""
    observation = engine.reset()
    leaves: list[list[NDArray[Any]]] = [[] for _ in policy.observe.leaves]
    parameters = []
    for _ in range(n_steps):
        for kept, leaf in zip(leaves, policy.observe.leaves, strict=True):
            kept.append(pick(observation, leaf).astype(leaf.given_as))
        with torch.inference_mode():
            parameters.append(policy.parameters(policy.load(observation))[0].numpy())
        observation = engine.step(policy.act(observation, generators)).observation
    return Played(tuple(np.concatenate(kept) for kept in leaves), np.concatenate(parameters))


def to_graph(policy: Policy, actions: gym.Space[Any], played: Played, notes: Mapping[str, str]) -> Graph:
    """Trace a policy of one member; `notes` go into the file's metadata.

    Raises UserError where it holds something that ONNX cannot express.
    """
    leaves = policy.observe.leaves
    inputs = tuple(
        Port(name, leaf.given_as, leaf.shape) for name, leaf in zip(_input_names(leaves), leaves, strict=True)
    )
    example = tuple(torch.from_numpy(leaf[:2]) for leaf in played.leaves)
    batch = torch.export.Dim(BATCH)
    try:
        with _silence(), torch.no_grad():
            traced = torch.export.export(
                _Traceable(policy), example, dynamic_shapes=(tuple({0: batch} for _ in example),), strict=False
            )
            names = [port.name for port in inputs]
            program = torch.onnx.export(
                traced, dynamo=True, verbose=False, input_names=names, output_names=[ACTION, PARAMETERS]
            )
            assert program is not None
            content, opset = _serialized(program, notes)
    except Exception as error:
        raise UserError(
            f"The policy cannot be expressed in ONNX: {_reason(error)}",
            remedy="write its network, and its normalizer, with operations that torch.onnx knows, without decisions "
            "that hang on values or on the batch's size",
        ) from error
    # Not all spaces say int64 where actions are indices, but `step` is always given that.
    is_index = isinstance(actions, gym.spaces.Discrete)
    outputs = (
        Port(ACTION, "int64" if is_index else str(actions.dtype), tuple(actions.shape or ())),
        Port(PARAMETERS, "float32", (policy.distribution.n_parameters,)),
    )
    return Graph(content, inputs, outputs, opset)


def check(graph: Graph, policy: Policy, played: Played) -> float:
    """Run the graph with onnxruntime on what was played; the largest difference from torch's policy parameters.

    Raises UserError where that is more than TOLERANCE, or where an action is not the one that the graph's own
    parameters ask for: it may differ from torch's only as far as they do, as between two logits that tie.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    options.intra_op_num_threads = 1
    n = len(played.parameters)
    largest = 0.0
    allowed = TOLERANCE * max(1.0, float(np.abs(played.parameters).max()))
    try:
        session = onnxruntime.InferenceSession(graph.content, options, providers=["CPUExecutionProvider"])
        for size in (*BATCH_SIZES, n):
            for start in range(0, n, size):
                rows = slice(start, start + size)
                feed = {port.name: leaf[rows] for port, leaf in zip(graph.inputs, played.leaves, strict=True)}
                actions, parameters = session.run([ACTION, PARAMETERS], feed)
                difference = float(np.abs(parameters - played.parameters[rows]).max())
                if not difference <= allowed:
                    raise _differs(f"`{PARAMETERS}` by {difference:.2g}, more than {allowed:.2g}")
                largest = max(largest, difference)
                _compare_actions(actions, _asked_for(policy, parameters))
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"onnxruntime cannot run the exported policy: {_reason(error)}") from error
    return largest


class _Traceable(nn.Module):
    """A policy of one member as torch.export takes it."""

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self._policy = policy

    def forward(self, *leaves: Tensor) -> tuple[Tensor, Tensor]:
        """Raw leaves `[B, *shape]` as the environment gives them -> actions as it takes them, parameters `[B, K]`."""
        policy = self._policy
        read = zip(leaves, policy.observe.leaves, strict=True)
        parameters = policy.parameters(tuple(x.to(leaf.dtype).unsqueeze(0) for x, leaf in read))
        actions = policy.distribution.mode(parameters)
        return policy.distribution.translate(actions.squeeze(0)), parameters.squeeze(0)


def _input_names(leaves: Sequence[Leaf]) -> list[str]:
    """`observation`, or `observation_camera_0` for a part of it: identifiers, as ONNX asks for, and each only once."""
    names: list[str] = []
    for leaf in leaves:
        name = re.sub(r"\W", "_", "_".join(("observation", *map(str, leaf.keys))), flags=re.ASCII)
        while name in names:
            name += "_"
        names.append(name)
    return names


def _serialized(program: torch.onnx.ONNXProgram, notes: Mapping[str, str]) -> tuple[bytes, int]:
    """The file's content, without the paths of the code that was traced, and its opset."""
    import onnx
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    ClearMetadataAndDocStringPass()(program.model)
    model = program.model_proto
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = BATCH
    # Shapes in between speak of the batch by another name, and can be inferred.
    del model.graph.value_info[:], model.graph.metadata_props[:]
    onnx.helper.set_model_props(model, dict(notes))
    (opset,) = (entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    return model.SerializeToString(deterministic=True), int(opset)


def _asked_for(policy: Policy, parameters: NDArray[Any]) -> NDArray[Any]:
    return policy.distribution.to_environment(policy.distribution.mode(torch.from_numpy(parameters)).numpy())


def _compare_actions(given: NDArray[Any], wanted: NDArray[Any]) -> None:
    if given.shape != wanted.shape or given.dtype != wanted.dtype:
        raise _differs(f"`{ACTION}` is {given.dtype} {given.shape}, not {wanted.dtype} {wanted.shape}")
    if np.issubdtype(wanted.dtype, np.floating):
        # Bounds may be far from 1, and every dtype rounds in its own way.
        slack = 8 * np.finfo(wanted.dtype).eps
        is_same = np.allclose(given, wanted, rtol=slack, atol=slack * max(1.0, float(np.abs(wanted).max())))
    else:
        is_same = np.array_equal(given, wanted)
    if not is_same:
        raise _differs(f"`{ACTION}` is not what `{PARAMETERS}` asks for")


def _differs(how: str) -> UserError:
    return UserError(
        f"The exported policy is not the one that was trained: {how}.",
        remedy="a network or normalizer of your own must depend on nothing but its inputs and parameters",
    )


def _reason(error: BaseException) -> str:
    """The first line of what was wrong in the first place: exporters wrap it in pages of advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = str(error).strip()
    return text.splitlines()[0].split(" For more information")[0] if text else type(error).__name__


@contextmanager
def _silence() -> Iterator[None]:
    """The exporter prints, logs and warns about matters of its own."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
