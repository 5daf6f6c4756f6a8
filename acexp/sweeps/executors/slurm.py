"""The executor that trains populations as jobs of a Slurm array; a preempted job saves its runs and is requeued."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import submitit
from submitit.core.utils import FailedJobError, UncompletedJobError
from submitit.helpers import DelayedSubmission

from acexp.config.launcher import KEY, LauncherConfig
from acexp.core.errors import UserError
from acexp.runs.outcome import Outcome
from acexp.sweeps.executors.base import POLL_SECONDS, Dropped, Ended, Event, Lost, expected_places
from acexp.sweeps.executors.file_channel import FileChannel
from acexp.sweeps.executors.file_channels import FileChannels
from acexp.sweeps.worker import Job, train_population

FOLDER = ".slurm"
PREEMPTION = signal.SIGUSR2


@dataclass(frozen=True, slots=True)
class Population:
    """The function that a Slurm job calls: it trains a population.

    Attributes:
        job: The population.
        channel: The connection to the sweep.
    """

    job: Job
    channel: FileChannel

    def __call__(self) -> list[Outcome] | UserError:
        """Train the population; when preempted, save it and requeue the job, which ends this process."""
        requeue = signal.getsignal(PREEMPTION)
        result = train_population(self.job, self.channel)
        is_preempted = isinstance(result, list) and any(outcome.signal == PREEMPTION for outcome in result)
        if is_preempted and callable(requeue):
            requeue(PREEMPTION, None)
        return result

    def checkpoint(self) -> DelayedSubmission:
        """Return the function that the requeued job calls; called by submitit."""
        return DelayedSubmission(
            Population(replace(self.job, options=replace(self.job.options, resume=True)), self.channel)
        )


class SlurmExecutor:
    """Trains each population in a Slurm job. See Executor."""

    queues = True
    retries = 3

    def __init__(self, launcher: LauncherConfig) -> None:
        self.places = expected_places(launcher)
        self._launcher = launcher
        self._unsubmitted: dict[int, Population] = {}
        self._jobs: dict[int, submitit.Job[object]] = {}
        self._channels = FileChannels()
        self._executor: submitit.AutoExecutor | None = None

    def cores(self, n_populations: int) -> int:
        """Return the number of cores that each job requests from Slurm."""
        return self._launcher.cpus or 1

    def begin(self, number: int, job: Job) -> None:
        """Keep the population for the array, which is submitted when all populations are known."""
        self._executor = self._executor or _executor(self._launcher, job.runs[0].directory.parent / FOLDER)
        self._unsubmitted[number] = Population(job, self._channels.open(number, job))

    def poll(self) -> Iterable[Event]:
        """Submit the array; return the events of jobs that have ended, and those that others report through files."""
        self._submit()
        over = [number for number, job in self._jobs.items() if _is_over(job)]
        if not over:
            time.sleep(POLL_SECONDS)
        yield from self._channels.events()
        for number in over:
            has_begun = self._channels.has_begun(number)
            event = _end(number, self._jobs.pop(number), has_begun=has_begun)
            self._channels.close(number)
            yield event

    def stop(self) -> None:
        """Ask the populations that train to stop, and cancel those in the queue."""
        self._submit()
        for number in self._channels.request_stop():
            self._jobs[number].cancel(check=False)

    def close(self) -> None:
        """Cancel the jobs that still run, which only an error in acexp itself can leave behind."""
        for job in self._jobs.values():
            job.cancel(check=False)

    def _submit(self) -> None:
        if not self._unsubmitted or self._executor is None:
            return
        with self._executor.batch():
            jobs = [self._executor.submit(population) for population in self._unsubmitted.values()]
        self._jobs |= zip(self._unsubmitted, jobs, strict=True)
        self._unsubmitted.clear()


def _executor(launcher: LauncherConfig, folder: Path) -> submitit.AutoExecutor:
    """Return submitit's executor with the requested resources; raises UserError where there is no Slurm."""
    settings = launcher.slurm
    try:
        executor = submitit.AutoExecutor(
            folder=folder, cluster=settings.cluster, slurm_max_num_timeout=settings.max_timeouts
        )
        parameters = {
            "name": "acexp",
            "timeout_min": settings.timeout_min,
            "cpus_per_task": launcher.cpus or 1,
            "gpus_per_node": int(launcher.gpus) or None,
            "mem_gb": settings.mem_gb,
            "slurm_partition": settings.partition,
            "slurm_account": settings.account,
            "slurm_qos": settings.qos,
            "slurm_signal_delay_s": settings.signal_delay_s,
            "slurm_array_parallelism": launcher.processes,
            "slurm_setup": list(settings.setup) or None,
            "slurm_additional_parameters": dict(settings.additional) or None,
        }
        executor.update_parameters(**{key: value for key, value in parameters.items() if value is not None})
    except (RuntimeError, ValueError, NameError, OSError) as error:
        raise UserError(
            f"Slurm cannot be used: {(str(error).splitlines() or [type(error).__name__])[0]}",
            key="slurm",
            value=f"cluster={settings.cluster}",
            remedy=f"correct the named setting, or train on this machine: {KEY}.executor=local",
        ) from error
    return executor


def _is_over(job: submitit.Job[object]) -> bool:
    # The file is checked first, because the state that Slurm reports may be a minute old.
    return job.paths.result_pickle.exists() or job.done()


def _end(number: int, job: submitit.Job[object], *, has_begun: bool) -> Event:
    try:
        result = job.result()
    except (FailedJobError, UncompletedJobError) as error:
        if not has_begun and job.state.upper().startswith("CANCEL"):
            return Dropped(number)
        return Lost(number, f"job {job.job_id} {job.state}: {_last_line(error)}")
    assert isinstance(result, (list, UserError))
    return Ended(number, result)


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
