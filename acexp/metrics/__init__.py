"""The metrics of training: their tags, the recorder that averages them, and the writers that save them."""

from acexp.metrics.console import Display, PlainDisplay, RichDisplay, Silent, display_for
from acexp.metrics.divergence import Divergence
from acexp.metrics.jsonl import JsonlWriter, Series, read_last, read_series, require_readable
from acexp.metrics.mlflow import MlflowWriter
from acexp.metrics.recorder import Recorder
from acexp.metrics.remote import RemoteThread, RemoteWriter
from acexp.metrics.tensorboard import TensorBoardWriter
from acexp.metrics.wandb import WandbWriter
from acexp.metrics.writer import WRITERS, Experiment, Writer, packages_of, require_writers

__all__ = [
    "WRITERS",
    "Display",
    "Divergence",
    "Experiment",
    "JsonlWriter",
    "MlflowWriter",
    "PlainDisplay",
    "Recorder",
    "RemoteThread",
    "RemoteWriter",
    "RichDisplay",
    "Series",
    "Silent",
    "TensorBoardWriter",
    "WandbWriter",
    "Writer",
    "display_for",
    "packages_of",
    "read_last",
    "read_series",
    "require_readable",
    "require_writers",
]
