"""A policy as an ONNX graph, and the check that the graph computes what the policy does."""

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
"""The largest allowed difference between the graph's policy parameters and torch's, relative to the largest of them, or
to 1 if that is more. Usual differences are 1e-6, and 1e-5 if a network reads raw pixels."""

BATCH_SIZES = (1, 7)
"""The batch sizes that the graph is run with, besides all observations at once."""


@dataclass(frozen=True, slots=True)
class Port:
    """An input or an output of the graph.

    Attributes:
        name: the name in the graph.
        dtype: NumPy's name of the dtype.
        shape: the shape of one observation or action; in the graph, the batch comes before it.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Graph:
    """A policy in ONNX.

    Attributes:
        content: the content of the ONNX file.
        inputs: the raw leaves of an observation, in their order.
        outputs: ACTION, the most likely action as `step` takes it, and PARAMETERS, those of the action distribution.
        opset: the version of the ONNX operators.
    """

    content: bytes
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    opset: int


@dataclass(frozen=True, slots=True)
class Played:
    """E real observations, and the policy parameters that torch computed from them.

    Attributes:
        leaves: the leaves of the observations, `[E, *shape]` each, in the dtype of the environment's space.
        parameters: the policy parameters, float32 `[E, K]`.
    """

    leaves: tuple[NDArray[Any], ...]
    parameters: NDArray[Any]


def require_packages() -> None:
    """Raise UserError unless the packages of the extra `onnx` can be imported."""
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
    """Play a policy of one member for `n_steps` steps, with sampled actions so that the observations vary."""
    observation = engine.reset()
    leaves: list[list[NDArray[Any]]] = [[] for _ in policy.observe.leaves]
    parameters = []
    for _ in range(n_steps):
        for values, leaf in zip(leaves, policy.observe.leaves, strict=True):
            values.append(pick(observation, leaf).astype(leaf.given_as))
        with torch.inference_mode():
            parameters.append(policy.parameters(policy.load(observation))[0].numpy())
        observation = engine.step(policy.act(observation, generators)).observation
    return Played(tuple(np.concatenate(values) for values in leaves), np.concatenate(parameters))


def to_graph(policy: Policy, actions: gym.Space[Any], played: Played, notes: Mapping[str, str]) -> Graph:
    """Trace a policy of one member to ONNX; `notes` go into the file's metadata.

    Raises UserError if the policy contains something that ONNX cannot express.
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
            remedy="write its network, and its normalizer, with operations that torch.onnx supports, without "
            "decisions that depend on values or on the size of the batch",
        ) from error
    # Some spaces have another dtype for actions that are indices, but `step` always receives int64.
    is_index = isinstance(actions, gym.spaces.Discrete)
    outputs = (
        Port(ACTION, "int64" if is_index else str(actions.dtype), tuple(actions.shape or ())),
        Port(PARAMETERS, "float32", (policy.distribution.n_parameters,)),
    )
    return Graph(content, inputs, outputs, opset)


def check(graph: Graph, policy: Policy, played: Played) -> float:
    """Run the graph with onnxruntime on the played observations; return its largest difference from torch.

    Raises UserError if the policy parameters differ by more than TOLERANCE, or if an action does not follow from the
    graph's own parameters: an action may differ from torch's only because the parameters do, as when two logits tie.
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
                _compare_actions(actions, _expected_actions(policy, parameters))
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"onnxruntime cannot run the exported policy: {_reason(error)}") from error
    return largest


class _Traceable(nn.Module):
    """A policy of one member as a module that torch.export can trace."""

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self._policy = policy

    def forward(self, *leaves: Tensor) -> tuple[Tensor, Tensor]:
        """Map raw leaves `[B, *shape]` of the environment to actions as it takes them, and parameters `[B, K]`."""
        policy = self._policy
        read = zip(leaves, policy.observe.leaves, strict=True)
        parameters = policy.parameters(tuple(x.to(leaf.dtype).unsqueeze(0) for x, leaf in read))
        actions = policy.distribution.mode(parameters)
        return policy.distribution.translate(actions.squeeze(0)), parameters.squeeze(0)


def _input_names(leaves: Sequence[Leaf]) -> list[str]:
    """Return a unique identifier for each leaf: `observation`, or `observation_camera_0` for a part of it."""
    names: list[str] = []
    for leaf in leaves:
        name = re.sub(r"\W", "_", "_".join(("observation", *map(str, leaf.keys))), flags=re.ASCII)
        while name in names:
            name += "_"
        names.append(name)
    return names


def _serialized(program: torch.onnx.ONNXProgram, notes: Mapping[str, str]) -> tuple[bytes, int]:
    """Return the content of the file, without the paths of the traced code, and its opset."""
    import onnx
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    ClearMetadataAndDocStringPass()(program.model)
    model = program.model_proto
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = BATCH
    # Intermediate shapes have another name for the batch, and can be inferred.
    del model.graph.value_info[:], model.graph.metadata_props[:]
    onnx.helper.set_model_props(model, dict(notes))
    (opset,) = (entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    return model.SerializeToString(deterministic=True), int(opset)


def _expected_actions(policy: Policy, parameters: NDArray[Any]) -> NDArray[Any]:
    return policy.distribution.to_environment(policy.distribution.mode(torch.from_numpy(parameters)).numpy())


def _compare_actions(actual: NDArray[Any], expected: NDArray[Any]) -> None:
    if actual.shape != expected.shape or actual.dtype != expected.dtype:
        raise _differs(f"`{ACTION}` is {actual.dtype} {actual.shape}, not {expected.dtype} {expected.shape}")
    if np.issubdtype(expected.dtype, np.floating):
        # Bounds may be far from 1, and the rounding error depends on the dtype.
        slack = 8 * np.finfo(expected.dtype).eps
        is_same = np.allclose(actual, expected, rtol=slack, atol=slack * max(1.0, float(np.abs(expected).max())))
    else:
        is_same = np.array_equal(actual, expected)
    if not is_same:
        raise _differs(f"`{ACTION}` does not follow from `{PARAMETERS}`")


def _differs(how: str) -> UserError:
    return UserError(
        f"The exported policy is not the one that was trained: {how}.",
        remedy="a network or normalizer of your own must depend on nothing but its inputs and parameters",
    )


def _reason(error: BaseException) -> str:
    """Return the first line of the original error, which exporters wrap in pages of advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = str(error).strip()
    return text.splitlines()[0].split(" For more information")[0] if text else type(error).__name__


@contextmanager
def _silence() -> Iterator[None]:
    """Suppress what the exporter prints, logs and warns about."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
