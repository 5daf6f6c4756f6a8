"""Compare the convolutions of M members one after the other with one grouped convolution.

    python benchmarks/convolutions.py

Prints the median time of a forward and a backward pass through two layers, on one thread.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

REPEATS = 7
CASES = ((1, 16), (4, 80), (8, 16))


def looped(x: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Apply both layers to one member after the other and stack the results."""
    return torch.stack([F.conv2d(F.conv2d(x[m], first[m], None, 4).relu(), second[m], None, 2) for m in range(len(x))])


def grouped(x: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Apply both layers to all members at once, as the groups of one convolution."""
    members = len(x)
    channels = x.transpose(0, 1).flatten(1, 2)
    h = F.conv2d(channels, first.flatten(0, 1), None, 4, groups=members).relu()
    return F.conv2d(h, second.flatten(0, 1), None, 2, groups=members)


def milliseconds(
    network: Callable[[Tensor, Tensor, Tensor], Tensor], x: Tensor, weights: tuple[Tensor, Tensor]
) -> float:
    """Return the milliseconds of one forward and backward pass."""
    start = time.perf_counter()
    torch.autograd.grad(network(x, *weights).sum(), weights)
    return (time.perf_counter() - start) * 1e3


def main() -> None:
    """Measure both ways in alternation and print their medians."""
    torch.set_num_threads(1)
    for members, images in CASES:
        x = torch.rand(members, images, 4, 84, 84)
        weights = (
            torch.randn(members, 32, 4, 8, 8, requires_grad=True),
            torch.randn(members, 64, 32, 4, 4, requires_grad=True),
        )
        times: dict[str, list[float]] = {"looped": [], "grouped": []}
        for _ in range(REPEATS):
            times["looped"].append(milliseconds(looped, x, weights))
            times["grouped"].append(milliseconds(grouped, x, weights))
        shown = ", ".join(f"{name} {statistics.median(ms):.1f} ms" for name, ms in times.items())
        print(f"{members} members x {images} images: {shown}")  # noqa: T201


if __name__ == "__main__":
    main()
