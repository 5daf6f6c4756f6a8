"""How training ended, written into the directory of each run."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from acexp.config import RunConfig
from acexp.metrics import Recorder
from acexp.runs import run_directory
from acexp.runs.outcome import Outcome
from acexp.runs.run import Run
from acexp.runs.run_directory import Status


class Ending(NamedTuple):
    """How training ended.

    Attributes:
        status: The status of the runs.
        error: The error, if there was one.
        signal: The signal that asked for the end, if one did.
        member: The only member that has ended, because its environment failed; None if all have.
    """

    status: Status
    error: str | None = None
    signal: int | None = None
    member: int | None = None


def finish(recorder: Recorder, member: int, run: Run, ending: Ending) -> Outcome:
    """Write how a member's run ended: as its population did, unless the member diverged or its environment failed."""
    divergence = recorder.divergences.get(member)
    status, error = ending.status, ending.error
    if divergence is not None and divergence.is_environments:
        status, error = Status.FAILED, f"{run.config.env.id}, seed {run.config.seed}, {divergence.what}"
    elif divergence is not None:
        status, error = Status.DIVERGED, f"{divergence}\n  with {_suspects(run.config)}; all of it is in config.yaml"
    outcome = Outcome(
        directory=run.directory,
        status=status,
        steps=recorder.step if divergence is None else divergence.step,
        steps_per_second=recorder.steps_per_second,
        seconds=recorder.seconds,
        mean_return=recorder.recent_return(member),
        error=error,
        signal=ending.signal,
        notes=_notes(status, recorder, member, run.config),
    )
    try:
        if status is not Status.FAILED:
            recorder.end(member, outcome.steps)
    except OSError as failure:
        status, error = Status.FAILED, error or unwritable_files(failure)
        outcome = replace(outcome, status=status, error=error)
    recorder.set_status(member, status)
    try:
        run_directory.finish(
            run.directory,
            status,
            results={
                "env": run.config.env.id,
                "engine": run.config.engine.name,
                "seed": run.config.seed,
                "steps": outcome.steps,
                "valid_steps": recorder.valid_steps[member],
                "episodes": recorder.n_episodes[member],
                "mean_return_last_100": outcome.mean_return,
            },
            timings={"seconds": round(outcome.seconds, 3), "steps_per_second": round(outcome.steps_per_second, 1)},
            error=error,
        )
    except OSError as failure:
        return replace(outcome, status=Status.FAILED, error=error or unwritable_files(failure))
    return outcome


def _notes(status: Status, recorder: Recorder, member: int, config: RunConfig) -> tuple[str, ...]:
    """Return what to do if a run has ended although not one of its episodes has, or if an info was never there."""
    if status is not Status.DONE:
        return ()
    if recorder.n_episodes[member]:
        missing = [key for key in config.log.info if not recorder.logs_info(member, key)]
        return tuple(f"log.info: the last steps of episodes return no number called {key!r}." for key in missing)
    return (
        f"No episode has ended: each of the {config.algo.n_envs} environments took {_steps_each(config):,} steps. "
        "Train for longer, or end episodes with a time limit: env.max_episode_steps=...",
    )


def _steps_each(config: RunConfig) -> int:
    return -(-config.total_steps // (config.algo.n_envs * config.algo.n_steps)) * config.algo.n_steps


def _suspects(config: RunConfig) -> str:
    """Return the settings that usually cause a divergence, with their values."""
    clip = f"clip={config.clip.name}, clip.max_norm={config.clip.max_norm:g}"
    return f"optim.learning_rate={config.optim.learning_rate:g}, {clip}, seed={config.seed}"


def unwritable_files(failure: OSError) -> str:
    """Return the error of a run whose files cannot be written."""
    return f"the run's files cannot be written: {failure.strerror or failure}"
