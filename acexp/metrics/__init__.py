"""The metrics of training: their tags, the recorder that averages them, and the writers that save them."""

from acexp.metrics.console import Display, PlainDisplay, RichDisplay, Silent, display_for
from acexp.metrics.divergence import Divergence
from acexp.metrics.jsonl import JsonlWriter, Series, read_last, read_series, require_readable
from acexp.metrics.recorder import Recorder, Writer
from acexp.metrics.tensorboard import Experiment, TensorBoardWriter

__all__ = [
    "Display",
    "Divergence",
    "Experiment",
    "JsonlWriter",
    "PlainDisplay",
    "Recorder",
    "RichDisplay",
    "Series",
    "Silent",
    "TensorBoardWriter",
    "Writer",
    "display_for",
    "read_last",
    "read_series",
    "require_readable",
]
