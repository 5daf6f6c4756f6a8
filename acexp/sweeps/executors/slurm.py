"""Populations as jobs of Slurm, through submitit: one array, and a requeue for whom the scheduler wants to be gone."""

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
from acexp.sweeps.executors.base import POLL_SECONDS, Dropped, Ended, Event, Lost
from acexp.sweeps.executors.file_channel import FileChannel
from acexp.sweeps.executors.file_channels import FileChannels
from acexp.sweeps.worker import Job, train_population

FOLDER = ".slurm"
PREEMPTION = signal.SIGUSR2


@dataclass(frozen=True, slots=True)
class Population:
    """What a job of Slurm does.

    Attributes:
        job: what is to be trained.
        channel: who wants to hear of it.
    """

    job: Job
    channel: FileChannel

    def __call__(self) -> list[Outcome] | UserError:
        """Train; when told to make room, save, and have the job queued again, which ends this process."""
        requeue = signal.getsignal(PREEMPTION)
        result = train_population(self.job, self.channel)
        is_preempted = isinstance(result, list) and any(outcome.signal == PREEMPTION for outcome in result)
        if is_preempted and callable(requeue):
            requeue(PREEMPTION, None)
        return result

    def checkpoint(self) -> DelayedSubmission:
        """What the job does when its turn comes again; asked for by submitit."""
        return DelayedSubmission(Population(replace(self.job, again=True), self.channel))


class SlurmExecutor:
    """A job for each population. See Executor.

    Args:
        launcher: says what each asks for.
    """

    queues = True
    retries = 3

    def __init__(self, launcher: LauncherConfig) -> None:
        self.places = launcher.processes or 1
        self._launcher = launcher
        self._unsent: dict[int, Population] = {}
        self._jobs: dict[int, submitit.Job[object]] = {}
        self._channels = FileChannels()
        self._executor: submitit.AutoExecutor | None = None

    def cores(self, n_populations: int) -> int:
        """As many as are asked of Slurm."""
        return self._launcher.cpus or 1

    def begin(self, number: int, job: Job) -> None:
        """Keep the population for the array that is sent when all are known."""
        self._executor = self._executor or _executor(self._launcher, job.directories[0].parent / FOLDER)
        self._unsent[number] = Population(job, self._channels.open(number, job))

    def attend(self) -> Iterable[Event]:
        """Send what is to be sent; see what is over, and what the mailboxes hold of the others."""
        self._send()
        over = [number for number, job in self._jobs.items() if _is_over(job)]
        if not over:
            time.sleep(POLL_SECONDS)
        yield from self._channels.news()
        for number in over:
            has_begun = self._channels.has_begun(number)
            event = _end(number, self._jobs.pop(number), has_begun=has_begun)
            self._channels.close(number)
            yield event

    def stop(self) -> None:
        """Leave word for those that train; take those that wait out of the queue."""
        self._send()
        for number in self._channels.request_stop():
            self._jobs[number].cancel(check=False)

    def close(self) -> None:
        """Cancel what still runs; only an error of ours leaves anything to do here."""
        for job in self._jobs.values():
            job.cancel(check=False)

    def _send(self) -> None:
        if not self._unsent or self._executor is None:
            return
        with self._executor.batch():
            jobs = [self._executor.submit(population) for population in self._unsent.values()]
        self._jobs |= zip(self._unsent, jobs, strict=True)
        self._unsent.clear()


def _executor(launcher: LauncherConfig, folder: Path) -> submitit.AutoExecutor:
    """Raises UserError where there is no Slurm."""
    told = launcher.slurm
    try:
        executor = submitit.AutoExecutor(folder=folder, cluster=told.cluster, slurm_max_num_timeout=told.max_timeouts)
        wanted = {
            "name": "acexp",
            "timeout_min": told.timeout_min,
            "cpus_per_task": launcher.cpus or 1,
            "gpus_per_node": int(launcher.gpus) or None,
            "mem_gb": told.mem_gb,
            "slurm_partition": told.partition,
            "slurm_account": told.account,
            "slurm_qos": told.qos,
            "slurm_signal_delay_s": told.signal_delay_s,
            "slurm_array_parallelism": launcher.processes,
            "slurm_setup": list(told.setup) or None,
            "slurm_additional_parameters": dict(told.additional) or None,
        }
        executor.update_parameters(**{key: value for key, value in wanted.items() if value is not None})
    except (RuntimeError, ValueError, NameError, OSError) as error:
        raise UserError(
            f"Slurm cannot be used: {(str(error).splitlines() or [type(error).__name__])[0]}",
            key="slurm",
            value=f"cluster={told.cluster}",
            remedy=f"mend what it names, or train on this machine: {KEY}.executor=local",
        ) from error
    return executor


def _is_over(job: submitit.Job[object]) -> bool:
    # The file first: what Slurm itself says may be a minute old.
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
