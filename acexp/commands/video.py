"""`acexp video`: writes videos of one episode of a trained run."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from acexp.commands.arguments import Arguments, at_least_one
from acexp.commands.screen import relative
from acexp.commands.which import add_which
from acexp.video import FORMATS, FilmOptions, film, possible_formats

MOST_SEEDS = 1_000_000


def video(arguments: list[str]) -> int:
    """Record one episode of the run in the directory that is given, and print its return and length."""
    parser = Arguments(prog="acexp video", description="Record a video of one episode of a trained run.")
    parser.add_argument("directory", type=Path, help="the directory of a run")
    parser.add_argument("--out", type=Path, help="where to write the videos (the run's directory)")
    parser.add_argument("--format", type=_formats, help=f"some of {','.join(FORMATS)} (all that can be written)")
    parser.add_argument("--seed", type=_seed, default=0, help="number of the episode, counted as in evaluation (0)")
    parser.add_argument("--stochastic", action="store_true", help="sample actions rather than take the most likely")
    parser.add_argument("--max-steps", type=at_least_one("step"), help="end the video after this number of env steps")
    add_which(parser)
    parser.add_argument("--allow-plugins", action="store_true", help="import the modules that the run's config names")
    options = parser.parse_args(arguments)
    console = Console(highlight=False, soft_wrap=True)
    formats = options.format or possible_formats()
    with console.status("Playing and drawing an episode"):
        found = film(
            options.directory.resolve(),
            FilmOptions(
                formats=formats,
                out=None if options.out is None else options.out.resolve(),
                seed=options.seed,
                deterministic=not options.stochastic,
                max_steps=options.max_steps,
                which=options.which,
            ),
            allow_plugins=options.allow_plugins,
        )
    cut = "" if found.is_whole else ", cut off before its end"
    console.print(f"return {found.episode_return:,.1f} in {found.length:,} env steps{cut}", markup=False)
    console.print("\n".join(f"  {relative(path)}" for path in found.files), markup=False)
    if options.format is None and formats != FORMATS:
        console.print("  no mp4: that takes pip install 'acexp[video]'", markup=False)
    return 0


def _formats(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    unknown = [name for name in names if name not in FORMATS]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(FORMATS)}")
    return names


def _seed(text: str) -> int:
    n = int(text)
    if not 0 <= n < MOST_SEEDS:
        raise argparse.ArgumentTypeError(f"a seed lies in 0 to {MOST_SEEDS - 1:,}")
    return n
