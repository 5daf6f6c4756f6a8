"""What several tests share: starting acexp as a user does, reading what it wrote, stepping a population by hand."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import gzip
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pyte
import pytest
import torch
from safetensors.torch import load_file

from acexp.algorithm.assembly import assemble, resolve
from acexp.algorithm.estimate import estimate
from acexp.algorithm.loop import Budget, train
from acexp.algorithm.population import Population
from acexp.algorithm.update import update
from acexp.config import RunConfig
from acexp.core.observations import pick
from acexp.core.seeding import environment_seeds, streams
from acexp.core.types import UpdateStatistics
from acexp.engines import open_engine
from acexp.metrics import Recorder, Silent
from acexp.runs.agent import Agent
from acexp.system.lock import LOCK
from tests.command_server import SERVER, Command

REPOSITORY = Path(__file__).resolve().parent.parent
NUMBER = r"[-+]?\d[\d,]*(?:\.\d+)?"
ESTIMATE = re.compile(rf"({NUMBER})\s+\[({NUMBER}),\s+({NUMBER})\]")
"""An estimate and its interval, as pages show them."""


Process = subprocess.Popen[str] | Command


def start(
    folder: Path, *arguments: str, runner: Sequence[str] = (), group: bool = False, **environment: str
) -> Process:
    """Start `python -m acexp`, or `python -m RUNNER -m acexp`, with all that it prints in one pipe.

    A runner needs a new interpreter; all others are forked from a process that has imported acexp.

    `group`: in a process group of its own, as a shell starts commands.
    """
    variables = {**os.environ, "HOME": str(folder), "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{folder}", **environment}
    if not runner:
        return SERVER.start(arguments, folder, variables, group=group)
    return subprocess.Popen(
        [sys.executable, "-m", *runner, "-m", "acexp", *arguments],
        cwd=folder,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=group,
    )


def shared_folder(tmp_path_factory: pytest.TempPathFactory, name: str) -> Path:
    """A folder that all processes of pytest share, where xdist has started several."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    folder.mkdir(exist_ok=True)
    return folder


def wait_until(condition: Callable[[], bool], process: Process) -> None:
    """Wait while it runs; fails, with what it printed, if it ends before that."""
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.communicate(timeout=60)[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def screens(
    folder: Path, *arguments: str, columns: int = 140, rows: int = 40, answer: str | None = None
) -> list[list[str]]:
    """The lines on a real pseudo-terminal of this size while a command runs, each time that it has printed something.

    A terminal emulator interprets what the command prints; the lines that have left the screen at its top are kept.
    `answer` is what is typed.
    """
    main, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    variables = {**os.environ, "PYTHONPATH": str(REPOSITORY), "TERM": "xterm-256color"}
    for size in ("COLUMNS", "LINES"):
        variables.pop(size, None)
    pid = SERVER.start_in_terminal(arguments, folder, variables, other)
    os.close(other)
    if answer is not None:
        os.write(main, f"{answer}\n".encode())
    screen = pyte.HistoryScreen(columns, rows, history=10_000)
    stream = pyte.ByteStream(screen)
    shown = []
    with contextlib.suppress(OSError):  # raised by a read once the command has ended
        while chunk := os.read(main, 65536):
            stream.feed(chunk)
            left = ["".join(line[column].data for column in range(columns)) for line in screen.history.top]
            shown.append([line.rstrip() for line in [*left, *screen.display]])
    os.close(main)
    assert int(SERVER.ask({"wait": pid})) == 0
    return shown


def in_terminal(folder: Path, *arguments: str, columns: int = 140, answer: str | None = None) -> str:
    """What a real pseudo-terminal of this width shows at the end of a command, from its first line on."""
    return "\n".join(screens(folder, *arguments, columns=columns, answer=answer)[-1]).rstrip()


def metrics(directory: Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics.jsonl."""
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


def contents(folder: Path) -> dict[str, bytes]:
    """The bytes of every file below a folder, but of locks, which say who held them last."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != LOCK]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def charts_of(page: Path) -> list[dict[str, Any]]:
    """The charts of a report, as the page's script unpacks them."""
    (packed,) = re.findall(r'id="charts">(.*?)</script>', page.read_text())
    found: list[dict[str, Any]] = json.loads(gzip.decompress(base64.b64decode(packed)))
    return found


def parameters(directory: Path) -> dict[str, torch.Tensor]:
    """The parameters that a run ended with."""
    return {name: x for name, x in load_file(directory / "policy.safetensors").items() if not name.startswith("norm")}


def snapshot(population: Population) -> dict[str, torch.Tensor]:
    """A copy of every parameter, `[M, ...]`."""
    return {name: tensor.detach().clone() for name, tensor in population.architecture.parameters.named().items()}


def advance(population: Population, n_updates: int, progress: float = 0.0) -> list[UpdateStatistics]:
    """Take some updates, as the loop does, without logging; the measurements of every step of the optimizers."""
    statistics = []
    for _ in range(n_updates):
        batch, evaluation = estimate(population, population.collector.collect())
        statistics += update(population, batch, evaluation, progress)
    return statistics


def train_in_memory(configs: Sequence[RunConfig]) -> tuple[list[float | None], list[float]]:
    """Each member's mean return of its last 100 training episodes, and the return of one greedy episode."""
    resolved = [resolve(config) for config in configs]
    first = resolved[0]
    budget = Budget(total_steps=first.total_steps, steps_per_update=first.algo.n_steps * first.algo.n_envs)
    with assemble(resolved) as population:
        recorder = Recorder(population.objective, [[] for _ in resolved], first.total_steps, Silent())
        for _ in train(population, budget, recorder):
            pass
        recent = [recorder.recent_return(member) for member in range(len(resolved))]
        return recent, greedy_returns(population, first, len(resolved))


@torch.no_grad()
def greedy_returns(population: Population, config: RunConfig, n_members: int) -> list[float]:
    """The return of one episode per member under its most likely actions, in environments of its own."""
    engine = open_engine(config.env, [10_000 + member for member in range(n_members)], config.engine)
    returns, running = np.zeros(n_members), np.ones(n_members, bool)
    observation = engine.reset()
    while running.any():
        values = tuple(
            torch.from_numpy(np.array(pick(observation, leaf))).to(leaf.dtype).view(n_members, 1, *leaf.shape)
            for leaf in population.observe.leaves
        )
        policy = population.architecture.policy(population.observe(values))
        actions = population.objective.distribution.mode(policy)[:, 0].numpy()
        step = engine.step(population.objective.distribution.to_environment(actions))
        returns += np.where(running, step.reward, 0.0)
        running &= ~(step.terminated | step.truncated)
        observation = step.observation
    engine.close()
    return [float(value) for value in returns]


def return_of_first_evaluation(agent: Agent, env: gym.Env[Any, Any]) -> float:
    """Return what an agent of seed 0 reaches in an environment that begins as the first one of its evaluations does."""
    observation, _ = env.reset(seed=environment_seeds(streams(0).evaluation, 1)[0])
    total, is_over = 0.0, False
    while not is_over:
        observation, reward, terminated, truncated, _ = env.step(agent.act(observation))
        total, is_over = total + float(reward), terminated or truncated
    return total
