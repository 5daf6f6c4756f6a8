"""A writer of scalars, chart layout, config and hyperparameters for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import summary_v2 as hparams
from torch.utils.tensorboard import SummaryWriter

from acexp.metrics.tags import EVALUATED_RETURN, FINAL_RETURN, clip_charts

FLUSH_SECONDS = 10
COMPARED = (FINAL_RETURN, EVALUATED_RETURN)
"""The tags whose last values are columns of the HPARAMS table."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """The description of a run in TensorBoard.

    Attributes:
        config: the resolved config as YAML, shown under TEXT.
        settings: the settings by dotted key, shown under HPARAMS.
        group: a name that runs share if they differ only in their seed; the HPARAMS table shows a group as one row.
    """

    config: str
    settings: Mapping[str, bool | float | str]
    group: str


class TensorBoardWriter:
    """Writer of one event file per run; all scalars of a step go into one event.

    Args:
        directory: the run's directory.
        experiment: the description that is written when a run begins; None adds to a run that is over.
        resume_at: the env step that the run is resumed at; None for a run that begins.
    """

    def __init__(self, directory: Path, experiment: Experiment | None, resume_at: int | None = None) -> None:
        # TensorBoard discards the events of steps that are trained again.
        purge = None if resume_at is None else resume_at + 1
        self._writer = SummaryWriter(str(directory), flush_secs=FLUSH_SECONDS, purge_step=purge)
        self._has_layout = bool(resume_at) or experiment is None
        if experiment is not None and not resume_at:
            self._writer.add_text("config", f"```yaml\n{experiment.config}\n```")
            columns = [hparams.HParam(key) for key in experiment.settings]
            self._add(hparams.hparams_config_pb(columns, [hparams.Metric(tag) for tag in COMPARED]), step=0)
            self._add(hparams.hparams_pb(dict(experiment.settings), trial_id=experiment.group), step=0)

    def write(self, step: int, scalars: Mapping[str, float], timings: Mapping[str, float]) -> None:
        if not self._has_layout:
            self._add_layout(scalars)
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in {**scalars, **timings}.items()]
        self._add(Summary(value=values), step)

    def end(self, step: int, results: Mapping[str, float]) -> None:
        self.write(step, results, {})

    def _add(self, summary: Summary, step: int) -> None:
        file_writer = self._writer._get_file_writer()  # type: ignore[no-untyped-call]
        file_writer.add_summary(summary, step)

    def _add_layout(self, tags: Mapping[str, float]) -> None:
        """Add a chart for every part, with its gradient norms before and after clipping."""
        charts = {part: ["Multiline", pair] for part, pair in clip_charts(tags).items()}
        self._writer.add_custom_scalars({"gradient norms before and after clipping": charts})
        self._has_layout = True

    def close(self) -> None:
        self._writer.close()
