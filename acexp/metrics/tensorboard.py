"""The writer of scalars, chart layout, config and hyperparameters for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import summary_v2 as hparams
from torch.utils.tensorboard import SummaryWriter

from acexp.metrics.tags import EVALUATED_RETURN, FINAL_RETURN, clip_charts
from acexp.metrics.writer import WRITERS, Experiment, Writer

FLUSH_SECONDS = 10
COMPARED = (FINAL_RETURN, EVALUATED_RETURN)
"""The tags whose last values are columns of the HPARAMS table."""


@WRITERS.register("tensorboard")
class TensorBoardWriter(Writer):
    """An event file for TensorBoard, beside the run."""

    def __init__(self, experiment: Experiment) -> None:
        # TensorBoard discards the events of steps that are trained again.
        purge = None if experiment.resume_at is None else experiment.resume_at + 1
        self._writer = SummaryWriter(str(experiment.directory), flush_secs=FLUSH_SECONDS, purge_step=purge)
        self._has_layout = bool(experiment.resume_at) or experiment.is_over
        if not self._has_layout:
            self._writer.add_text("config", f"```yaml\n{experiment.config}\n```")
            columns = [hparams.HParam(key) for key in experiment.varying]
            self._add(hparams.hparams_config_pb(columns, [hparams.Metric(tag) for tag in COMPARED]), step=0)
            self._add(hparams.hparams_pb(dict(experiment.varying), trial_id=experiment.group), step=0)

    def write(self, step: int, scalars: Mapping[str, float], timings: Mapping[str, float]) -> None:
        if not self._has_layout:
            self._add_layout(scalars)
        # All scalars of a step go into one event.
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
