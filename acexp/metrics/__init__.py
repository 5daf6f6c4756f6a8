"""Layer 1: where measurements go. Tags are named in one place, values are written in one place."""

from acexp.metrics.console import Display, PlainDisplay, RichDisplay, Silent, display_for
from acexp.metrics.divergence import AllDiverged, Divergence
from acexp.metrics.jsonl import JsonlWriter
from acexp.metrics.recorder import Recorder, Writer
from acexp.metrics.tensorboard import Experiment, TensorBoardWriter

__all__ = [
    "AllDiverged",
    "Display",
    "Divergence",
    "Experiment",
    "JsonlWriter",
    "PlainDisplay",
    "Recorder",
    "RichDisplay",
    "Silent",
    "TensorBoardWriter",
    "Writer",
    "display_for",
]
