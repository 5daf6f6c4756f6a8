"""Scalars, layout and config for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard import SummaryWriter

from acexp.metrics.tags import clip_charts

FLUSH_SECONDS = 10


class TensorBoardWriter:
    """One event file per run; all scalars of a step go into one event.

    Args:
        directory: the run's.
        config: the resolved config as YAML, shown under TEXT; None adds to a run that is over.
        resume_at: the env step to go on from; None for a run that begins.
    """

    def __init__(self, directory: Path, config: str | None, resume_at: int | None = None) -> None:
        # Whoever reads the events forgets those of the steps that are trained again.
        purge = None if resume_at is None else resume_at + 1
        self._writer = SummaryWriter(str(directory), flush_secs=FLUSH_SECONDS, purge_step=purge)
        self._has_layout = bool(resume_at) or config is None
        if not self._has_layout:
            self._writer.add_text("config", f"```yaml\n{config}\n```")

    def write(self, step: int, scalars: Mapping[str, float], timings: Mapping[str, float]) -> None:
        if not self._has_layout:
            self._add_layout(scalars)
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in {**scalars, **timings}.items()]
        file_writer = self._writer._get_file_writer()  # type: ignore[no-untyped-call]
        file_writer.add_summary(Summary(value=values), step)

    def _add_layout(self, tags: Mapping[str, float]) -> None:
        """The norms from before and after clipping on one chart, for every part."""
        charts = {part: ["Multiline", pair] for part, pair in clip_charts(tags).items()}
        self._writer.add_custom_scalars({"gradient norms before and after clipping": charts})
        self._has_layout = True

    def close(self) -> None:
        self._writer.close()
