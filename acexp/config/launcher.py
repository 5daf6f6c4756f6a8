"""How a sweep's populations are trained: what `hydra.launcher.*` sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from omegaconf import DictConfig, OmegaConf

from acexp.config.checks import require_choice, require_least
from acexp.config.load import settings_of, typed

KEY = "hydra.launcher"
EXECUTORS = ("local", "ray", "slurm")
CLUSTERS = ("slurm", "local")
PLUGIN = "hydra_plugins.acexp_population."


@dataclass(frozen=True, kw_only=True)
class RayConfig:
    """What only Ray needs.

    Attributes:
        address: of a cluster; None takes RAY_ADDRESS if that is set, else starts Ray on this machine.
    """

    address: str | None = None


@dataclass(frozen=True, kw_only=True)
class SlurmConfig:
    """What only Slurm needs; see `man sbatch`.

    Attributes:
        cluster: `slurm`, or `local` for the same jobs as processes of this machine, to try them.
        partition: None takes the cluster's default, as do account and qos.
        account: who pays.
        qos: quality of service.
        timeout_min: of a job; one that comes near it is saved and queued again.
        mem_gb: of a job; None takes the cluster's default.
        signal_delay_s: how long before its end a job is told to save.
        max_timeouts: how often a job may be queued again for having run out of time.
        setup: lines of shell before the job, such as `module load python`.
        additional: further options of sbatch, by name.
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
    """Who trains a sweep's populations, and how large they may become.

    Attributes:
        executor: `local` processes, `ray` tasks, or `slurm` jobs.
        max_members: of one population.
        processes: populations that train at a time; None takes one per core that there is.
        cpus: of each population; None divides this machine's cores among them, and asks others for one.
        gpus: of each population, asked of Ray or Slurm.
        retries: how often a population whose worker was lost goes on elsewhere; None takes the executor's default,
            which is 0 on this machine, where it was probably memory that ran out, and 3 elsewhere.
        ray: see RayConfig.
        slurm: see SlurmConfig.
    """

    executor: str = "local"
    max_members: int = 16
    processes: int | None = None
    cpus: int | None = None
    gpus: float = 0.0
    retries: int | None = None
    ray: RayConfig = field(default_factory=RayConfig)
    slurm: SlurmConfig = field(default_factory=SlurmConfig)

    def __post_init__(self) -> None:
        require_choice(self, EXECUTORS, "executor")
        require_least(self, 1, "max_members", "processes", "cpus")
        require_least(self, 0, "gpus", "retries")


def launcher_from(values: object) -> LauncherConfig:
    """The typed settings of plain ones; raises UserError that names the key at fault."""
    return typed(LauncherConfig, values, KEY)


def launcher_in(node: DictConfig) -> LauncherConfig | None:
    """That of a multirun's config, None where it is another one of Hydra's; raises UserError."""
    told = node.hydra.launcher
    return launcher_from(settings_of(told)) if str(told.get("_target_", "")).startswith(PLUGIN) else None


def launcher_of(arguments: Sequence[str]) -> LauncherConfig:
    """What a sweep's command line says of its launcher; raises UserError."""
    own = [argument for argument in arguments if argument.startswith(f"{KEY}.")]
    return launcher_from(
        OmegaConf.to_container(OmegaConf.select(OmegaConf.from_dotlist(own), KEY, default=OmegaConf.create()))
    )
