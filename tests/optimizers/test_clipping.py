from __future__ import annotations

import pytest
import torch

from acexp.core.parameters import Segment
from acexp.optimizers.clipping import CLIPS, ClipConfig, module_norms

SEGMENTS = (Segment("actor", 0, 2), Segment("critic", 2, 3))
CPU = torch.device("cpu")


def clip(config: ClipConfig, gradient: torch.Tensor) -> tuple[torch.Tensor, list[float]]:
    """The clipped gradient and the flags, for one config per row."""
    configs = [config] * len(gradient)
    before = module_norms(gradient, SEGMENTS)
    clipped, flags = CLIPS[config.name].build(configs, CPU)(gradient.clone(), SEGMENTS, before)
    return clipped, flags.tolist()


def test_norms_of_modules_by_hand() -> None:
    assert module_norms(torch.tensor([[3.0, 4.0, 12.0]]), SEGMENTS).tolist() == [[5.0, 12.0]]


def test_norm_scales_the_whole_gradient_down_to_the_bound() -> None:
    # |(3, 4, 12)| = 13; bound 6.5 halves it.
    clipped, flags = clip(ClipConfig(name="norm", max_norm=6.5), torch.tensor([[3.0, 4.0, 12.0]]))
    assert clipped.tolist() == [pytest.approx([1.5, 2.0, 6.0])]
    assert flags == [1.0]


def test_norm_by_module_scales_only_what_is_too_long() -> None:
    config = ClipConfig(name="norm", max_norm=6.0, scope="module")
    clipped, flags = clip(config, torch.tensor([[3.0, 4.0, 12.0]]))
    assert clipped.tolist() == [pytest.approx([3.0, 4.0, 6.0])]
    assert clipped[0, :2].tolist() == [3.0, 4.0]
    assert flags == [1.0]


def test_norm_leaves_short_gradients_untouched_to_the_bit() -> None:
    gradient = torch.randn(1, 3, generator=torch.Generator().manual_seed(0)) * 1e-3
    for scope in ("optimizer", "module"):
        clipped, flags = clip(ClipConfig(name="norm", scope=scope), gradient)
        assert torch.equal(clipped, gradient)
        assert flags == [0.0]


def test_norm_equals_torchs() -> None:
    gradient = torch.randn(1, 3, generator=torch.Generator().manual_seed(0)) * 5
    parameter = torch.nn.Parameter(torch.zeros(3))
    parameter.grad = gradient[0].clone()
    torch.nn.utils.clip_grad_norm_([parameter], 0.5)
    clipped, _ = clip(ClipConfig(name="norm"), gradient)
    torch.testing.assert_close(clipped[0], parameter.grad)


def test_each_member_has_its_own_bound() -> None:
    configs = [ClipConfig(name="norm", max_norm=bound) for bound in (6.5, 26.0)]
    gradient = torch.tensor([[3.0, 4.0, 12.0], [3.0, 4.0, 12.0]])
    clipped, flags = CLIPS["norm"].build(configs, CPU)(gradient, SEGMENTS, module_norms(gradient, SEGMENTS))
    assert clipped.tolist() == [pytest.approx([1.5, 2.0, 6.0]), [3.0, 4.0, 12.0]]
    assert flags.tolist() == [1.0, 0.0]


def test_value_clamps_every_entry() -> None:
    clipped, flags = clip(ClipConfig(name="value", max_value=3.5), torch.tensor([[3.0, -4.0, 12.0], [1.0, -2.0, 3.0]]))
    assert clipped.tolist() == [[3.0, -3.5, 3.5], [1.0, -2.0, 3.0]]
    assert flags == [1.0, 0.0]


def test_none_changes_nothing() -> None:
    gradient = torch.tensor([[3.0, 4.0, 1e9]])
    clipped, flags = clip(ClipConfig(name="none"), gradient)
    assert torch.equal(clipped, gradient)
    assert flags == [0.0]
