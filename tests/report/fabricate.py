"""Directories as runs leave them, with numbers that were thought up."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

CONFIG = {
    "env": {"id": "Toy-v0"},
    "total_steps": 400,
    "arch": {"name": "separate"},
    "optim": {"name": "single", "learning_rate": 0.001, "betas": [0.9, 0.999]},
    "clip": {"name": "norm", "max_norm": 0.5, "max_value": 0.5, "scope": "optimizer"},
    "log": {"every": 100},
}
NORMS = {"grad_norm/optim_joint/before_clip": 2.0, "grad_norm/optim_joint/after_clip": 0.5}


def fabricate(
    directory: Path,
    score: float | None,
    seed: int = 0,
    curve: Sequence[float] = (0.0, 1.0, 2.0, 3.0),
    status: str = "done",
    evaluation: Mapping[str, Any] | None = None,
    **settings: Any,
) -> None:
    """Write a run that ended with `score`; its curve has equal intervals.

    `status` may be followed by the reason: `failed: out of memory`. Settings are `arch__name="shared"` and the like.
    """
    status, _, error = status.partition(": ")
    config = {**{key: dict(value) if isinstance(value, dict) else value for key, value in CONFIG.items()}, "seed": seed}
    for key, value in settings.items():
        group, _, name = key.partition("__")
        if name:
            config[group][name] = value
        else:
            config[group] = value
    directory.mkdir(parents=True)
    (directory / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    steps = config["total_steps"]
    content: dict[str, Any] = {"status": status, "identity": directory.name, "steps": steps, "steps_per_second": 1000.0}
    content |= {"command": "acexp", "versions": {"acexp": "0.1.0"}, **({"error": error} if error else {})}
    (directory / "status.json").write_text(json.dumps(content))
    (directory / "summary.json").write_text(json.dumps({"mean_return_last_100": score}))
    lines = [
        {
            "step": steps * (i + 1) // len(curve),
            "charts/episode_return": value,
            **NORMS,
            "grad_norm/optim_joint/clip_fraction": 0.25 * (1 + seed % 2),
        }
        for i, value in enumerate(curve)
    ]
    (directory / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if evaluation is not None:
        (directory / "eval.json").write_text(json.dumps(evaluation))


def evaluated(mean: float, step: int = 400, deterministic: bool = True) -> dict[str, Any]:
    """An eval.json."""
    return {"step": step, "deterministic": deterministic, "return": {"mean": mean, "n": 100}}
