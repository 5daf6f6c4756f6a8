"""The distributions of continuous actions, against integrals of their densities that are computed here."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor

from acexp.core.distributions import POLICIES, BoxDistribution, Distribution, PolicyConfig, distribution_for
from acexp.core.errors import UserError

Array = NDArray[np.float64]

UNIT = spaces.Box(-1.0, 1.0, (1,))
NODES, WEIGHTS = np.polynomial.legendre.leggauss(600)
"""A quadrature over the actions in [-1, 1], which is exact for polynomials."""

GAUSSIANS = [(0.0, 1.0), (0.4, 0.3), (-1.5, 0.5), (0.1, 2.0), (2.0, 1.0)]
"""Means and standard deviations."""

CONCENTRATIONS = [(1.5, 1.5), (2.0, 5.0), (30.0, 4.0), (1.01, 3.0), (150.0, 150.0)]


def policy(name: str, space: gym.Space[Any] = UNIT, std: str = "parameter") -> Distribution:
    return distribution_for(space, PolicyConfig(name=name, std=std))


def gaussian(mean: float, std: float) -> Tensor:
    return torch.tensor([mean, math.log(std)], dtype=torch.float64)


def beta(a: float, b: float) -> Tensor:
    """The outputs of a network that are these concentrations."""
    return torch.tensor([math.log(math.expm1(c - 1.0)) for c in (a, b)], dtype=torch.float64)


CASES = {
    **{f"squashed {case}": ("squashed", gaussian(*case)) for case in GAUSSIANS},
    **{f"beta {case}": ("beta", beta(*case)) for case in CONCENTRATIONS},
}
each_case = pytest.mark.parametrize(("name", "parameters"), CASES.values(), ids=CASES)


def log_density(name: str, parameters: Tensor, actions: Array) -> Array:
    """The log-density of actions in [-1, 1]."""
    stored = torch.from_numpy(np.arctanh(actions)).unsqueeze(-1)
    return np.asarray(policy(name).log_prob(parameters.expand(len(actions), 2), stored).numpy())


def expectation(name: str, parameters: Tensor, function: Callable[[Array], Array]) -> float:
    """The integral of density times function(log-density) over the actions.

    Over the numbers whose tanh they are, because that of a wide Gaussian has its mass at the bounds.
    """
    stored = np.linspace(-16.0, 16.0, 40_001)
    density = policy(name).log_prob(parameters.expand(len(stored), 2), torch.from_numpy(stored).unsqueeze(-1)).numpy()
    return float(np.trapezoid(np.exp(density) / np.cosh(stored) ** 2 * function(density), stored))


@each_case
def test_densities_integrate_to_one(name: str, parameters: Tensor) -> None:
    assert expectation(name, parameters, np.ones_like) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(("mean", "std"), GAUSSIANS)
def test_the_squashed_density_is_the_gaussians_over_the_slope_of_tanh(mean: float, std: float) -> None:
    actions = np.linspace(-0.99, 0.99, 67)
    gaussian_density = np.exp(-0.5 * ((np.arctanh(actions) - mean) / std) ** 2) / (std * math.sqrt(2.0 * math.pi))
    expected = np.log(gaussian_density / (1.0 - actions**2))
    assert log_density("squashed", gaussian(mean, std), actions) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(("a", "b"), CONCENTRATIONS)
def test_the_beta_density_is_the_product_of_powers_over_its_integral(a: float, b: float) -> None:
    def log_power(actions: Array) -> Array:
        return np.asarray((a - 1.0) * np.log(0.5 * (1.0 + actions)) + (b - 1.0) * np.log(0.5 * (1.0 - actions)))

    actions = np.linspace(-0.99, 0.99, 67)
    integral = float((WEIGHTS * np.exp(log_power(NODES))).sum())
    expected = log_power(actions) - math.log(integral)
    assert log_density("beta", beta(a, b), actions) == pytest.approx(expected, rel=1e-4, abs=1e-4)


@each_case
def test_entropies_are_those_of_the_densities(name: str, parameters: Tensor) -> None:
    """The squashed one's is an estimate, with an error that its docstring bounds."""
    expected = expectation(name, parameters, np.negative)
    tolerance = 0.002 if name == "squashed" else 2e-4
    assert float(policy(name).entropy(parameters)) == pytest.approx(expected, abs=tolerance)


@each_case
def test_samples_follow_the_density(name: str, parameters: Tensor) -> None:
    """By the test of Kolmogorov and Smirnov, whose statistic is above 1.95 / sqrt(n) once in a thousand times."""
    d, n = policy(name), 20_000
    noise = d.draw((n,), torch.Generator().manual_seed(0))
    actions = np.sort(d.to_environment(d.sample(parameters.float().expand(n, 2), noise).numpy())[:, 0])
    stored = np.linspace(-16.0, 16.0, 40_001)
    density = d.log_prob(parameters.expand(len(stored), 2), torch.from_numpy(stored).unsqueeze(-1)).exp().numpy()
    share = np.cumsum(density / np.cosh(stored) ** 2) * (stored[1] - stored[0])
    expected = np.interp(actions, np.tanh(stored), share)
    assert np.abs(expected - np.arange(1, n + 1) / n).max() < 1.95 / math.sqrt(n)


@pytest.mark.parametrize(("a", "b"), CONCENTRATIONS)
def test_betas_mode_is_the_maximum_of_its_density(a: float, b: float) -> None:
    d = policy("beta")
    (found,) = d.to_environment(d.mode(beta(a, b)[None]).numpy())[0].tolist()
    assert found == pytest.approx(2.0 * (a - 1.0) / (a + b - 2.0) - 1.0, abs=1e-6)
    assert (log_density("beta", beta(a, b), np.array([found - 0.01, found + 0.01]).clip(-1 + 1e-9, 1 - 1e-9)) <= 1e-4
            + log_density("beta", beta(a, b), np.array([found]))).all()  # fmt: skip


def test_betas_mode_exists_where_both_concentrations_are_one() -> None:
    d = policy("beta")
    assert d.to_environment(d.mode(torch.tensor([[-1e4, -1e4]])).numpy()).tolist() == [[0.0]]


def test_squashed_actions_of_the_mode_are_medians() -> None:
    d = policy("squashed")
    parameters = torch.tensor([0.7, 0.5]).expand(20_000, 2)
    sampled = d.to_environment(d.sample(parameters, d.draw((20_000,), torch.Generator().manual_seed(0))).numpy())
    (median,) = d.to_environment(d.mode(parameters[:1]).numpy())[0].tolist()
    assert median == pytest.approx(math.tanh(0.7))
    assert (sampled < median).mean() == pytest.approx(0.5, abs=0.011)


@pytest.mark.parametrize("std", ["parameter", "network"])
@pytest.mark.parametrize("name", ["gaussian", "squashed", "beta"])
def test_gradients_by_hand_are_those_of_autograd(name: str, std: str) -> None:
    torch.manual_seed(0)
    d = policy(name, spaces.Box(-1.0, 1.0, (3,)), std)
    assert isinstance(d, BoxDistribution)
    parameters = torch.randn(2, 5, d.n_parameters, dtype=torch.float64)
    actions = d.sample(parameters, d.draw((2, 5), torch.Generator().manual_seed(1)).double())
    given = torch.randn(2, 5, dtype=torch.float64), torch.randn(2, 5, dtype=torch.float64)
    with torch.inference_mode():
        found = d.gradient(parameters, actions, *given)
        expected = BoxDistribution.gradient(d, parameters, actions, *given)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["squashed", "beta"])
def test_nothing_is_infinite_at_the_bounds(name: str) -> None:
    """Where float32 cannot tell an action from its bound."""
    d = policy(name)
    parameters, actions = torch.tensor([[3.0, -2.0]]).repeat(4, 1), torch.tensor([[-40.0], [-15.0], [15.0], [40.0]])
    ones = torch.ones(4)
    assert d.to_environment(actions.numpy())[:, 0].tolist() == [-1.0, -1.0, 1.0, 1.0]
    for found in (d.log_prob(parameters, actions), d.entropy(parameters), d.gradient(parameters, actions, ones, ones)):
        assert found.isfinite().all()


BOUNDS = {
    "unit": spaces.Box(-1.0, 1.0, (3,)),
    "float32": spaces.Box(-2.0, 7.1, (2, 2)),
    "float64": spaces.Box(np.array([-0.1, 0.1]), np.array([0.3, 0.7]), dtype=np.float64),
    "no axis": spaces.Box(0.1, 0.3, ()),
}


@pytest.mark.parametrize("space", BOUNDS.values(), ids=BOUNDS)
@pytest.mark.parametrize("name", ["gaussian", "squashed", "beta"])
def test_actions_lie_within_the_bounds_and_reach_them(name: str, space: spaces.Box) -> None:
    """low + (high - low) can be rounded to more than high; `translate`, which is exported, gives the same bits."""
    d = policy(name, space)
    generator = torch.Generator().manual_seed(0)
    sampled = d.sample(torch.randn(200, d.n_parameters, generator=generator), d.draw((200,), generator))
    extreme = torch.cat((sampled, torch.full((1, sampled.shape[1]), -99.0), torch.full((1, sampled.shape[1]), 99.0)))
    given = d.to_environment(extreme.numpy())
    assert all(space.contains(np.asarray(action)) for action in given)
    assert np.array_equal(given[-2], space.low)
    assert np.array_equal(given[-1], space.high)
    translated = d.translate(extreme).numpy()
    assert translated.dtype == given.dtype
    assert np.array_equal(translated, given)


@pytest.mark.parametrize("name", ["gaussian", "squashed", "beta"])
@pytest.mark.parametrize(
    "space", [spaces.Discrete(3), spaces.MultiBinary(2), spaces.Box(0, 9, (2,), np.int64)], ids=str
)
def test_discrete_actions_have_no_distribution_of_numbers(name: str, space: gym.Space[Any]) -> None:
    with pytest.raises(UserError, match=f"policy={name} is a distribution of numbers") as refusal:
        policy(name, space)
    assert refusal.value.key == "policy.name"
    assert "policy=auto" in str(refusal.value)


@pytest.mark.parametrize("name", ["squashed", "beta"])
@pytest.mark.parametrize("high", [np.inf, np.finfo(np.float32).max])
def test_actions_without_bounds_cannot_be_squashed(name: str, high: float) -> None:
    space = spaces.Box(np.array([-1.0, 0.0], np.float32), np.array([1.0, high], np.float32))
    with pytest.raises(UserError, match="two finite bounds") as refusal:
        policy(name, space)
    assert "policy=gaussian" in str(refusal.value)


def test_deviations_come_from_parameters_or_the_network_and_from_nothing_else() -> None:
    space = spaces.Box(-1.0, 1.0, (3,))
    sizes = {}
    for name, std in (("auto", "parameter"), ("auto", "network"), ("squashed", "network"), ("beta", "network")):
        d = policy(name, space, std)
        sizes[name, std] = (d.n_outputs, d.n_parameters, d.n_log_std)
    assert sizes == {
        ("auto", "parameter"): (3, 6, 0),
        ("auto", "network"): (6, 6, 3),
        ("squashed", "network"): (6, 6, 3),
        ("beta", "network"): (6, 6, 0),
    }
    with pytest.raises(UserError, match="cannot come from 'state'") as refusal:
        PolicyConfig(std="state")
    assert (refusal.value.key, refusal.value.choices) == ("std", ("parameter", "network"))


def test_auto_is_a_gaussian_for_numbers() -> None:
    assert type(policy("auto")) is type(policy("gaussian"))


def test_an_unknown_policy_is_answered_with_the_choices() -> None:
    with pytest.raises(UserError, match="no policy called 'betta'") as refusal:
        policy("betta")
    assert set(refusal.value.choices) >= {"auto", "gaussian", "squashed", "beta"}


class Tent(BoxDistribution):
    """A distribution whose entropy does not depend on the parameters, without a gradient of its own."""

    def draw(self, slots: tuple[int, ...], generator: torch.Generator) -> Tensor:
        return torch.rand(*slots, self.size, generator=generator)

    def sample(self, parameters: Tensor, noise: Tensor) -> Tensor:
        return parameters.chunk(2, -1)[0] + noise

    def log_prob(self, parameters: Tensor, actions: Tensor) -> Tensor:
        return -(actions - parameters.chunk(2, -1)[0]).abs().sum(-1)

    def entropy(self, parameters: Tensor) -> Tensor:
        return torch.full(parameters.shape[:-1], 2.0)


def test_a_gradient_that_is_not_written_is_autograds() -> None:
    d = Tent(spaces.Box(-1.0, 1.0, (2,)), PolicyConfig())
    with torch.inference_mode():
        parameters, actions = torch.tensor([[1.0, -1.0, 0.0, 0.0]]), torch.tensor([[3.0, -3.0]])
        found = d.gradient(parameters, actions, torch.tensor([0.5]), torch.tensor([9.0]))
    assert found.tolist() == [[0.5, -0.5, 0.0, 0.0]]
    assert not found.requires_grad


def test_every_built_in_policy_is_registered_once() -> None:
    ours = [name for name in POLICIES.names if POLICIES[name].build.__module__.startswith("acexp.")]
    assert sorted(ours) == ["auto", "beta", "gaussian", "squashed"]
    assert all(POLICIES[name].summary for name in ours)


def test_a_distribution_that_lacks_a_method_is_named_with_it_when_it_is_built() -> None:
    class Half(BoxDistribution):
        def draw(self, slots: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
            return torch.zeros(*slots, self.size)

    with pytest.raises(TypeError, match=r"Half.*entropy.*log_prob.*sample"):
        Half(spaces.Box(-1.0, 1.0, (2,)), PolicyConfig())  # type: ignore[abstract]
