"""`acexp inspect`: shows what a config builds, without training it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from acexp.commands.arguments import Arguments
from acexp.config import application
from acexp.metrics import tags
from acexp.runs.inspection import ArrayFacts, Examination, examine

LONGEST_LINE = 110
NUMBERS_SHOWN = 8


def inspect(arguments: list[str]) -> int:
    """Build the run that the overrides describe, run one batch through it, and print what was built."""
    parser = Arguments(prog="acexp inspect", description="Build a run, put one batch through it, print what was built.")
    parser.add_argument("overrides", nargs="*", help="overrides as for training: env=pong optim=dual ...")
    parser.add_argument("--config-dir", help="a folder with your own YAML files")
    options = parser.parse_args(arguments)
    examination = examine(application.compose(options.overrides, options.config_dir))
    console = Console(highlight=False, soft_wrap=True)
    for title, rows in _sections(examination):
        console.print(title, markup=False, style="bold")
        width = max(len(name) for name, _ in rows)
        for name, text in rows:
            console.print(f"  {name:<{width}}  {text}".rstrip(), markup=False)
    return 0


def _sections(e: Examination) -> list[tuple[str, list[tuple[str, str]]]]:
    sections = [
        (
            "Environment",
            [
                ("observation space", _short(e.observation_space)),
                ("action space", _short(e.action_space)),
                *(("wrapper", wrapper) for wrapper in e.wrappers),
                ("engine", e.engine),
                *(("remark", remark) for remark in e.remarks),
            ],
        ),
        ("Log", list(e.log.items())),
        ("Algorithm", list(e.algorithm.items())),
        (
            f"Network, input {' and '.join(str(shape) for shape in e.input_shapes)}",
            list(e.layers),
        ),
        (
            "Parameters",
            [(module, f"{n:,}") for module, n in e.parameter_counts.items()]
            + [("all", f"{sum(e.parameter_counts.values()):,}")],
        ),
    ]
    for part in e.observations:
        rows = [
            ("raw", _array(part.raw)),
            ("normalizer", part.normalizer),
            ("normalized", _array(part.normalized)),
        ]
        sections.append((f"{part.path}, first value ({part.kind})", rows))
    policy = [
        ("distribution", e.distribution),
        ("deterministic action", e.deterministic),
        *((name, _numbers(values)) for name, values in e.policy.items()),
    ]
    sections.append(("Policy and value of this observation", [*policy, ("value", f"{e.value:.4f}")]))

    losses = [
        (tag.removeprefix("losses/"), f"{value + 0.0:.6f}")
        for tag, value in e.scalars.items()
        if tag.startswith("losses/")
    ]
    sections.append((f"Losses of {e.batch}", losses))
    stepped = {f"optim_{loss}": f"steps {', '.join(modules)}" for loss, modules in e.groups.items()}
    norms = [
        (part, f"{e.scalars[before]:.6f} -> {e.scalars[after]:.6f}  {stepped.get(part, '')}".rstrip())
        for part, (before, after) in tags.clip_charts(e.scalars).items()
    ]
    sections.append(("Gradient norms before -> after clipping", norms))
    if tags.TRUNK_COSINE in e.scalars:
        cosine = f"{e.scalars[tags.TRUNK_COSINE]:.4f}"
        sections.append(("Cosine between the losses' gradients on the trunk", [("before clipping", cosine)]))
    return sections


def _array(facts: ArrayFacts) -> str:
    return f"{facts.dtype} {facts.shape}, min {facts.low:.4g}, max {facts.high:.4g}"


def _numbers(values: Sequence[float]) -> str:
    shown = ", ".join(f"{value:.4f}" for value in values[:NUMBERS_SHOWN])
    return f"[{shown}{', ...' if len(values) > NUMBERS_SHOWN else ''}]"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE - 3]}..."
