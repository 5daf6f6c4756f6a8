"""A setting is declared once; tensors, structure and defaults follow from the declaration."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from acexp.core.hyperparameters import Hyperparameters
from acexp.core.settings import leaves_without, names_with, setting, with_defaults


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    rate: float = setting(0.1, per_member=True)
    threads: int = setting(0, incidental=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer:
    seed: int = setting(per_member=True)
    width: int = 64
    sizes: list[int] = setting(factory=lambda: [1, 2])
    inner: Inner = setting(factory=Inner)


def test_properties_are_found_at_every_depth() -> None:
    config = Outer(seed=3, width=32, inner=Inner(rate=0.5, threads=4))
    assert names_with(Outer, "per_member") == ("seed",)
    assert list(leaves_without(config, "per_member")) == [("width", 32), ("sizes", [1, 2]), ("inner.threads", 4)]
    assert with_defaults(config, "incidental") == Outer(seed=3, width=32, inner=Inner(rate=0.5))


def test_hyperparameters_are_the_per_member_settings() -> None:
    stacked = Hyperparameters.of([Inner(rate=0.5), Inner(rate=0.25)], torch.device("cpu"))
    assert stacked.rate.tolist() == [0.5, 0.25]
    assert stacked.rate.dtype == torch.float32
    assert stacked.replace(rate=torch.zeros(2)).rate.tolist() == [0.0, 0.0]
    assert stacked.rate.tolist() == [0.5, 0.25]
    with pytest.raises(AttributeError, match="no per-member setting 'threads'"):
        _ = stacked.threads
