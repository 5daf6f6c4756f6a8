"""The option that chooses a policy of a run."""

from __future__ import annotations

import argparse

from acexp.runs.saved_policy import Which


def add_which(parser: argparse.ArgumentParser) -> None:
    """Add the option `--which` to a command's parser."""
    parser.add_argument(
        "--which",
        type=_which,
        default=Which.LAST,
        metavar="|".join(Which),
        help="the last policy, or the best one by evaluation during training, which eval.keep_best=true keeps (last)",
    )


def _which(text: str) -> Which:
    try:
        return Which(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(Which)}") from None
