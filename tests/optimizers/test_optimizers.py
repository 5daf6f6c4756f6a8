from __future__ import annotations

import pytest
import torch

from acexp.core.parameters import Parameters, ParameterSpec
from acexp.optimizers import ALGORITHMS, OPTIMIZERS, DualConfig, OptimizerConfig, SingleConfig

GRADIENTS = torch.randn(20, 3, 7, generator=torch.Generator().manual_seed(0))
RATES = [1e-2, 1e-3, 0.0]


def ours(config: OptimizerConfig) -> torch.Tensor:
    parameters = torch.ones(3, 7)
    algorithm = ALGORITHMS[config.algorithm].build(parameters, config)
    for gradient in GRADIENTS:
        algorithm.step(gradient, torch.tensor(RATES).unsqueeze(1))
    return parameters


@pytest.mark.parametrize(
    ("config", "theirs"),
    [
        (OptimizerConfig(algorithm="adam", eps=1e-5), lambda p, lr: torch.optim.Adam(p, lr, eps=1e-5)),
        (
            OptimizerConfig(algorithm="adam", eps=1e-8, betas=[0.5, 0.9]),
            lambda p, lr: torch.optim.Adam(p, lr, betas=(0.5, 0.9)),
        ),
        (
            OptimizerConfig(algorithm="rmsprop", eps=1e-5, alpha=0.95),
            lambda p, lr: torch.optim.RMSprop(p, lr, alpha=0.95, eps=1e-5),
        ),
        (
            OptimizerConfig(algorithm="rmsprop", momentum=0.9),
            lambda p, lr: torch.optim.RMSprop(p, lr, eps=1e-5, momentum=0.9),
        ),
        (OptimizerConfig(algorithm="sgd"), lambda p, lr: torch.optim.SGD(p, lr)),
        (OptimizerConfig(algorithm="sgd", momentum=0.9), lambda p, lr: torch.optim.SGD(p, lr, momentum=0.9)),
    ],
    ids=["adam", "adam-betas", "rmsprop", "rmsprop-momentum", "sgd", "sgd-momentum"],
)
def test_each_row_is_stepped_as_torch_would_with_its_rate(config: OptimizerConfig, theirs: object) -> None:
    result = ours(config)
    for member, rate in enumerate(RATES):
        parameter = torch.nn.Parameter(torch.ones(7))
        optimizer = theirs([parameter], rate)  # type: ignore[operator]
        for gradient in GRADIENTS:
            parameter.grad = gradient[member].clone()
            optimizer.step()
        torch.testing.assert_close(result[member], parameter.detach(), rtol=1e-5, atol=1e-7)


def test_rmsprop_the_tensorflow_way_by_hand() -> None:
    """alpha 1/2, eps 1/4, rate 1, gradient 1 twice: the average goes 1, 1, 1 and each step is 1 / sqrt(5/4)."""
    config = OptimizerConfig(algorithm="rmsprop_tf", alpha=0.5, eps=0.25)
    parameters = torch.zeros(1, 1)
    algorithm = ALGORITHMS["rmsprop_tf"].build(parameters, config)
    for _ in range(2):
        algorithm.step(torch.ones(1, 1), torch.ones(1, 1))
    assert float(parameters) == pytest.approx(-2 / 1.25**0.5)
    # Gradient 3: the average becomes 1/2 + 9/2 = 5, the step 3 / sqrt(5 + 1/4).
    algorithm.step(torch.full((1, 1), 3.0), torch.ones(1, 1))
    assert float(parameters) == pytest.approx(-2 / 1.25**0.5 - 3 / 5.25**0.5)


def test_rmsprop_the_tensorflow_way_starts_far_slower_than_torchs() -> None:
    """A first gradient of 0.01 moves torch's RMSprop by about 10 rates, TensorFlow's by about 0.01."""
    moves = {}
    for name in ("rmsprop", "rmsprop_tf"):
        parameters = torch.zeros(1, 1)
        ALGORITHMS[name].build(parameters, OptimizerConfig(algorithm=name)).step(
            torch.full((1, 1), 0.01), torch.ones(1, 1)
        )
        moves[name] = -float(parameters)
    assert moves["rmsprop"] == pytest.approx(0.01 / (0.001 + 1e-5), rel=1e-4)
    assert moves["rmsprop_tf"] == pytest.approx(0.01 / (0.99 + 1e-6 + 1e-5) ** 0.5, rel=1e-4)


def parameters_of(*modules: str) -> Parameters:
    def ones(out: torch.Tensor, generator: torch.Generator) -> None:
        out.fill_(1.0)

    generators = [torch.Generator().manual_seed(i) for i in range(2)]
    return Parameters({module: [ParameterSpec("w", (2, 3), ones)] for module in modules}, generators)


@pytest.mark.parametrize(
    ("modules", "trunk", "expected"),
    [
        (("actor", "trunk", "critic"), "both", {"actor": ("actor", "trunk"), "critic": ("trunk", "critic")}),
        (("actor", "trunk", "critic"), "actor", {"actor": ("actor", "trunk"), "critic": ("critic",)}),
        (("actor", "trunk", "critic"), "critic", {"actor": ("actor",), "critic": ("trunk", "critic")}),
        (("actor", "critic"), "actor", {"actor": ("actor",), "critic": ("critic",)}),
    ],
)
def test_dual_gives_the_trunk_to_its_owner(
    modules: tuple[str, ...], trunk: str, expected: dict[str, tuple[str, ...]]
) -> None:
    groups = OPTIMIZERS["dual"].build([DualConfig(name="dual", trunk=trunk)] * 2, parameters_of(*modules))
    assert {group.loss: group.modules for group in groups} == expected


def test_single_steps_everything_as_one() -> None:
    (group,) = OPTIMIZERS["single"].build([SingleConfig(name="single")] * 2, parameters_of("actor", "trunk", "critic"))
    assert group.modules == ("actor", "trunk", "critic")
    assert [(s.module, s.start, s.stop) for s in group.segments] == [
        ("actor", 0, 6),
        ("trunk", 6, 12),
        ("critic", 12, 18),
    ]


def test_rates_anneal_linearly_to_zero_for_each_member() -> None:
    configs = [SingleConfig(name="single", learning_rate=rate, anneal="linear") for rate in (1.0, 0.5)]
    (group,) = OPTIMIZERS["single"].build(configs, parameters_of("actor", "critic"))
    rates = [group.learning_rate(progress).flatten().tolist() for progress in (0.0, 0.25, 1.0)]
    assert rates == [[1.0, 0.5], [0.75, 0.375], [0.0, 0.0]]


def test_a_step_moves_the_tensors_that_the_network_uses() -> None:
    parameters = parameters_of("actor", "critic")
    _, critic = OPTIMIZERS["dual"].build([DualConfig(name="dual")] * 2, parameters)
    critic.step(torch.ones(2, 6), torch.ones(2, 1))
    assert (next(parameters.of("critic", like=parameters.flat)) < 1.0).all()
    assert (next(parameters.of("actor", like=parameters.flat)) == 1.0).all()
