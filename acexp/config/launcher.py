"""The settings `hydra.launcher.*`, which determine how the populations of a sweep are trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from omegaconf import DictConfig, OmegaConf

from acexp.config.checks import require_choice, require_least
from acexp.config.load import settings_of
from acexp.config.typed import typed

KEY = "hydra.launcher"
DRY_RUN = f"{KEY}.dry_run"
EXECUTORS = ("local", "ray", "slurm")
CLUSTERS = ("slurm", "local")
PLUGIN = "hydra_plugins.acexp_population."


@dataclass(frozen=True, kw_only=True)
class RayConfig:
    """Settings of the executor `ray`.

    Attributes:
        address: Address of a cluster; None takes RAY_ADDRESS if that is set, else starts Ray on this machine.
    """

    address: str | None = None


@dataclass(frozen=True, kw_only=True)
class SlurmConfig:
    """Settings of the executor `slurm`; see `man sbatch`.

    Attributes:
        cluster: `slurm`, or `local` to try the same jobs as processes of this machine.
        partition: Partition of the jobs; None takes the cluster's default.
        account: Account that the jobs are charged to; None takes the cluster's default.
        qos: Quality of service; None takes the cluster's default.
        timeout_min: Time limit of a job in minutes; a job that comes near it is saved and queued again.
        mem_gb: Memory of a job in GB; None takes the cluster's default.
        signal_delay_s: Seconds before its time limit at which a job receives the signal to save.
        max_timeouts: How often a job may be queued again after reaching its time limit.
        setup: Shell commands that run before the job, such as `module load python`.
        additional: Further options of sbatch, by name.
    """

    cluster: str = "slurm"
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    timeout_min: int = 1440
    mem_gb: float | None = None
    signal_delay_s: int = 120
    max_timeouts: int = 100
    setup: list[str] = field(default_factory=list)
    additional: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_choice(self, CLUSTERS, "cluster", under="slurm.")
        require_least(self, 1, "timeout_min", "signal_delay_s", under="slurm.")
        require_least(self, 0, "max_timeouts", under="slurm.")


@dataclass(frozen=True, kw_only=True)
class LauncherConfig:
    """Which executor trains the populations of a sweep, with which resources, and how large populations may be.

    Attributes:
        executor: `local` processes, `ray` tasks, or `slurm` jobs.
        max_members: Largest number of runs in one population.
        processes: Number of populations that train at a time; None takes one per available core.
        cpus: CPU cores of each population; None divides this machine's cores among the populations, and requests one
            core each from Ray or Slurm.
        gpus: GPUs of each population, requested from Ray or Slurm.
        retries: How often a population is resumed elsewhere after its worker was lost; None takes the executor's
            default, which is 0 on this machine, where the cause is probably a lack of memory, and 3 elsewhere.
        dry_run: Whether the sweep is only described: its runs, its populations and about how long they take.
        ray: Settings of the executor `ray`.
        slurm: Settings of the executor `slurm`.
    """

    executor: str = "local"
    max_members: int = 16
    processes: int | None = None
    cpus: int | None = None
    gpus: float = 0.0
    retries: int | None = None
    dry_run: bool = False
    ray: RayConfig = field(default_factory=RayConfig)
    slurm: SlurmConfig = field(default_factory=SlurmConfig)

    def __post_init__(self) -> None:
        require_choice(self, EXECUTORS, "executor")
        require_least(self, 1, "max_members", "processes", "cpus")
        require_least(self, 0, "gpus", "retries")


def launcher_from(values: object) -> LauncherConfig:
    """Return the launcher's config from plain values; raises UserError that names the key at fault."""
    return typed(LauncherConfig, values, KEY)


def launcher_in(node: DictConfig) -> LauncherConfig | None:
    """Return the launcher's config from a multirun's config, None if Hydra uses another launcher; raises UserError."""
    settings = node.hydra.launcher
    return launcher_from(settings_of(settings)) if str(settings.get("_target_", "")).startswith(PLUGIN) else None


def launcher_of(arguments: Sequence[str]) -> LauncherConfig:
    """Return the launcher's config from a sweep's command-line arguments; raises UserError."""
    own = [argument for argument in arguments if argument.startswith(f"{KEY}.")]
    return launcher_from(
        OmegaConf.to_container(OmegaConf.select(OmegaConf.from_dotlist(own), KEY, default=OmegaConf.create()))
    )
