from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from acexp.architectures import (
    ARCHITECTURES,
    Architecture,
    ArchitectureConfig,
    ConvolutionConfig,
    Interface,
    ModuleArchitecture,
    SideConfig,
)
from acexp.architectures.base import ACTIVATIONS
from acexp.architectures.layers import Linear
from acexp.core.arrays import as_arrays, computes_in_numpy
from acexp.core.configs import architectures as configs
from acexp.core.errors import UserError
from acexp.core.observations import Inputs
from acexp.core.tape import Tape

CPU = torch.device("cpu")
VECTOR = Interface(((5,),), 3, 3)
GAUSSIAN = Interface(((5,),), 2, 4)
IMAGE = Interface(((4, 84, 84),), 6, 6)
BOTH = Interface(((5,), (3, 64, 48)), 3, 3)
INTERFACES = {"vector": VECTOR, "gaussian": GAUSSIAN, "image": IMAGE, "both": BOTH}


def generators(n: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(i) for i in range(n)]


def build(name: str, interface: Interface, n_members: int = 2, **settings: object) -> Architecture:
    config = ArchitectureConfig(name=name, **settings)  # type: ignore[arg-type]
    return ARCHITECTURES[name].build(config, interface, generators(n_members), CPU)


def inputs(interface: Interface, n_members: int = 2, batch: int = 3) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(9)
    return tuple(torch.randn(n_members, batch, *shape, generator=generator) for shape in interface.input_shapes)


@pytest.mark.parametrize("interface", INTERFACES.values(), ids=INTERFACES)
@pytest.mark.parametrize("name", ["separate", "shared"])
def test_outputs_have_the_shapes_of_the_interface(name: str, interface: Interface) -> None:
    network = build(name, interface)
    x = inputs(interface)
    policy, value = network.evaluate(x)[:2]
    assert policy.shape == (2, 3, interface.n_parameters)
    assert value.shape == (2, 3)
    assert torch.equal(policy, network.policy(x))
    assert torch.equal(value, network.value(x))


@pytest.mark.parametrize("interface", INTERFACES.values(), ids=INTERFACES)
@pytest.mark.parametrize("name", ["separate", "shared"])
def test_a_member_is_the_same_whoever_else_is_there(name: str, interface: Interface) -> None:
    """Parameters to the bit; outputs to float tolerance."""
    three, alone = build(name, interface, 3), build(name, interface, 1)
    for key, tensor in alone.parameters.named().items():
        assert torch.equal(three.parameters.named()[key][:1], tensor), key
    x = inputs(interface, 3)
    policy, value = three.evaluate(x)[:2]
    policy_alone, value_alone = alone.evaluate(tuple(part[:1] for part in x))[:2]
    torch.testing.assert_close(policy[:1], policy_alone)
    torch.testing.assert_close(value[:1], value_alone)


WAYS_BACK = {
    "both losses": (True, True, ("actor", "trunk", "critic")),
    "the actor's": (True, False, ("actor", "trunk")),
    "the actor's, without the trunk": (True, False, ("actor",)),
    "the critic's": (False, True, ("trunk", "critic")),
    "the critic's, without the trunk": (False, True, ("critic",)),
}


def check_backward(network: Architecture, interface: Interface, way: tuple[bool, bool, tuple[str, ...]]) -> None:
    """Against autograd, through `policy` and `value`, which have no backward pass of their own."""
    with_policy, with_values, modules = way
    x = inputs(interface, network.parameters.n_members)
    *outputs, backward = network.evaluate(x)
    gradients = [torch.randn_like(output) for output in outputs]
    given = [g if wanted else None for g, wanted in zip(gradients, (with_policy, with_values), strict=True)]
    present = [module for module in modules if module in network.parameters.modules]
    leaves = [leaf for module in present for leaf in network.parameters.of(module, like=x[0])]
    for leaf in leaves:
        leaf.requires_grad_()
    chosen = [(f(x), g) for f, g in zip((network.policy, network.value), given, strict=True) if g is not None]
    expected = torch.autograd.grad([f for f, _ in chosen], leaves, [g for _, g in chosen])
    found = backward(given[0], given[1], modules)
    torch.testing.assert_close(found, torch.cat([part.flatten(1) for part in expected], 1), rtol=1e-5, atol=1e-6)
    assert torch.equal(backward(given[0], given[1], modules), found), "a second time"
    if computes_in_numpy(network):
        check_in_numpy(network, x, (outputs, given, modules), found)


def check_in_numpy(network: Architecture, x: Inputs, way: Any, expected: Tensor) -> None:
    """The same outputs and gradients, computed with NumPy arrays."""
    outputs, given, modules = way
    arrays = as_arrays(x)
    *found, backward = network.evaluate(arrays)
    gradient = backward(*(None if g is None else g.numpy() for g in given), modules)
    acted = (network.policy(arrays), network.value(arrays))
    assert all(isinstance(each, np.ndarray) for each in (*found, *acted, gradient))
    for each, again, output in zip(found, acted, outputs, strict=True):
        np.testing.assert_allclose(each, output.detach().numpy(), rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(each, again)
    np.testing.assert_allclose(gradient, expected.detach().numpy(), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("way", WAYS_BACK.values(), ids=WAYS_BACK)
@pytest.mark.parametrize("interface", INTERFACES.values(), ids=INTERFACES)
@pytest.mark.parametrize("name", ["separate", "shared"])
def test_the_way_back_is_autograds(name: str, interface: Interface, way: tuple[bool, bool, tuple[str, ...]]) -> None:
    check_backward(build(name, interface), interface, way)


@pytest.fixture
def double_precision() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("double_precision")
@pytest.mark.parametrize("interface", INTERFACES.values(), ids=INTERFACES)
@pytest.mark.parametrize("name", ["separate", "shared"])
def test_what_acting_computed_is_what_evaluating_computes(name: str, interface: Interface) -> None:
    """Three steps of two slots, on a tape, against their six slots at once, in double precision."""
    network = build(name, interface)
    x = inputs(interface, batch=6)
    assert all(tensor.dtype == torch.float64 for tensor in network.parameters.named().values())
    tape = Tape(3)
    with torch.inference_mode():
        for tape.step, t in enumerate(range(0, 6, 2)):
            network.policy(tuple(part[:, t : t + 2] for part in x), tape)
    *expected, backward = network.evaluate(x)
    *found, backward_from_tape = network.evaluate(x, tape)
    gradients = [torch.randn_like(output) for output in expected]
    for output, again in zip(expected, found, strict=True):
        torch.testing.assert_close(again, output)
    modules = network.parameters.modules
    torch.testing.assert_close(
        backward_from_tape(gradients[0], gradients[1], modules), backward(gradients[0], gradients[1], modules)
    )


def test_the_activations_that_a_config_accepts_are_those_that_there_are() -> None:
    assert tuple(ACTIVATIONS) == configs.ACTIVATIONS


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden_sizes", [[], [7], [7, 6, 5]], ids=str)
def test_the_way_back_through_every_perceptron(activation: str, hidden_sizes: list[int]) -> None:
    network = build("shared", VECTOR, activation=activation, hidden_sizes=hidden_sizes, log_std_init=-1.0)
    check_backward(network, VECTOR, WAYS_BACK["both losses"])


@pytest.mark.parametrize("way", WAYS_BACK.values(), ids=WAYS_BACK)
@pytest.mark.parametrize("interface", [VECTOR, GAUSSIAN, BOTH], ids=["vector", "gaussian", "both"])
@pytest.mark.parametrize("name", ["separate", "shared"])
def test_the_way_back_through_layer_normalization(
    name: str, interface: Interface, way: tuple[bool, bool, tuple[str, ...]]
) -> None:
    network = build(name, interface, layer_norm=True, hidden_sizes=[7, 6], policy_gain=1.0)
    for key, tensor in network.parameters.named().items():
        if ".norm." in key:
            tensor.uniform_(-2.0, 2.0)
    check_backward(network, interface, way)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("way", WAYS_BACK.values(), ids=WAYS_BACK)
def test_the_way_back_through_sides_that_differ(activation: str, way: tuple[bool, bool, tuple[str, ...]]) -> None:
    critic = SideConfig(hidden_sizes=[9, 7, 5], activation=activation, layer_norm=True)
    check_backward(build("separate", BOTH, actor=SideConfig(hidden_sizes=[]), critic=critic), BOTH, way)


def test_each_side_has_what_is_its_own_and_the_rest_of_the_whole() -> None:
    network = build(
        "separate",
        VECTOR,
        hidden_sizes=[7],
        layer_norm=True,
        actor=SideConfig(activation="relu"),
        critic=SideConfig(hidden_sizes=[9, 4], layer_norm=False),
    )
    assert network.describe() == [
        ("actor.hidden0", "Linear(5, 7), LayerNorm(7), relu"),
        ("actor.policy", "Linear(7, 3)"),
        ("critic.hidden0", "Linear(5, 9), tanh"),
        ("critic.hidden1", "Linear(9, 4), tanh"),
        ("critic.value", "Linear(4, 1)"),
    ]
    assert network.parameters.size("actor") == 5 * 7 + 7 + 2 * 7 + 7 * 3 + 3
    assert network.parameters.size("critic") == 5 * 9 + 9 + 9 * 4 + 4 + 4 + 1


def test_sides_that_are_alike_draw_what_they_drew_before() -> None:
    """Sides that are given what the whole has, and a normalization, which draws nothing: the same weights."""
    plain = build("separate", VECTOR, hidden_sizes=[7, 6]).parameters.named()
    side = SideConfig(hidden_sizes=[7, 6], activation="tanh", layer_norm=True)
    given = build("separate", VECTOR, hidden_sizes=[3], actor=side, critic=side).parameters.named()
    assert all(torch.equal(given[name], tensor) for name, tensor in plain.items())


def test_layers_are_normalized_as_torchs_are() -> None:
    network = build("separate", VECTOR, hidden_sizes=[7, 6], layer_norm=True, policy_gain=1.0)
    named = {name: tensor[1] for name, tensor in network.parameters.named().items()}
    for name, tensor in named.items():
        if ".norm." in name:
            tensor.uniform_(-2.0, 2.0)
    (x,) = inputs(VECTOR)
    h = x[1]
    for i, size in enumerate((7, 6)):
        layer = nn.LayerNorm(size)
        layer.weight.data, layer.bias.data = (named[f"actor.hidden{i}.norm.{part}"] for part in ("weight", "bias"))
        h = torch.tanh(layer(h @ named[f"actor.hidden{i}.weight"] + named[f"actor.hidden{i}.bias"]))
    torch.testing.assert_close(network.policy((x,))[1], h @ named["actor.policy.weight"] + named["actor.policy.bias"])


def test_a_normalized_layer_of_one_unit_is_refused() -> None:
    with pytest.raises(UserError, match="always be 0") as refusal:
        build("separate", VECTOR, hidden_sizes=[4, 1], critic=SideConfig(layer_norm=True))
    assert refusal.value.key == "arch.layer_norm"
    build("shared", IMAGE, hidden_sizes=[1], layer_norm=True)


@pytest.mark.parametrize("gain", [0.0, 0.3, 2.0])
def test_the_last_layer_of_the_actor_has_its_gain(gain: float) -> None:
    weight = build("shared", Interface(((64,),), 4, 4), policy_gain=gain).parameters.named()["actor.policy.weight"][1]
    torch.testing.assert_close(weight.T @ weight, gain**2 * torch.eye(4), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "key", "complaint"),
    [
        ({"policy_gain": -1.0}, "policy_gain", "not negative"),
        ({"policy_gain": math.inf}, "policy_gain", "finite"),
        ({"actor": SideConfig(hidden_sizes=[8, 0])}, "actor.hidden_sizes", "at least one unit"),
        ({"critic": SideConfig(activation="tan")}, "critic.activation", "no activation called 'tan'"),
    ],
    ids=str,
)
def test_settings_that_no_network_can_have_are_refused(settings: dict[str, Any], key: str, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint) as refusal:
        ArchitectureConfig(name="separate", **settings)
    assert refusal.value.key == key
    assert "None" not in str(refusal.value)


def reference(network: Architecture, module: str, member: int, activation: nn.Module) -> Iterator[nn.Module]:
    """The member's perceptron as plain torch modules."""
    weights = [tensor[member] for name, tensor in network.parameters.named().items() if name.startswith(f"{module}.")]
    for weight, bias in zip(weights[0::2], weights[1::2], strict=True):
        layer = nn.Linear(*weight.shape)
        layer.weight.data, layer.bias.data = weight.detach().T, bias.detach()
        yield layer
        yield activation


@pytest.mark.parametrize(("activation", "module"), [("tanh", nn.Tanh()), ("relu", nn.ReLU()), ("silu", nn.SiLU())])
def test_stacked_perceptrons_equal_plain_torch(activation: str, module: nn.Module) -> None:
    network = build("separate", VECTOR, hidden_sizes=[7, 6], activation=activation)
    (x,) = inputs(VECTOR)
    for member in range(2):
        *layers, _ = reference(network, "actor", member, module)
        torch.testing.assert_close(network.policy((x,))[member], nn.Sequential(*layers)(x[member]))
        *layers, _ = reference(network, "critic", member, module)
        torch.testing.assert_close(network.value((x,))[member], nn.Sequential(*layers)(x[member]).squeeze(-1))


def test_convolutions_equal_the_nature_cnn() -> None:
    network = build("shared", IMAGE, 2)
    named = {name: tensor[1].detach() for name, tensor in network.parameters.named().items()}
    convolutions = [nn.Conv2d(4, 32, 8, 4), nn.Conv2d(32, 64, 4, 2), nn.Conv2d(64, 64, 3, 1)]
    for i, convolution in enumerate(convolutions):
        convolution.weight.data = named[f"trunk.image0.conv{i}.weight"]
        convolution.bias.data = named[f"trunk.image0.conv{i}.bias"]  # type: ignore[union-attr]
    (x,) = inputs(IMAGE)
    h = x[1]
    for convolution in convolutions:
        h = torch.relu(convolution(h))
    features = torch.relu(h.flatten(1) @ named["trunk.image0.linear.weight"] + named["trunk.image0.linear.bias"])
    expected = features @ named["actor.policy.weight"] + named["actor.policy.bias"]
    torch.testing.assert_close(network.policy((x,))[1], expected, rtol=1e-4, atol=1e-6)
    assert sum(network.parameters.size(module) for module in network.parameters.modules) == 1_684_128 + 7 * 513


def test_orthogonal_initialization_has_the_usual_gains() -> None:
    named = build("separate", Interface(((64,),), 4, 4)).parameters.named()
    for name, gain in (("hidden0", math.sqrt(2)), ("hidden1", math.sqrt(2)), ("policy", 0.01)):
        weight = named[f"actor.{name}.weight"][1].detach()
        gram = weight.T @ weight
        torch.testing.assert_close(gram, gain**2 * torch.eye(len(gram)), rtol=1e-4, atol=1e-5)
    assert float(named["critic.value.weight"][0].detach().norm()) == pytest.approx(1.0, rel=1e-5)
    assert all((tensor == 0).all() for name, tensor in named.items() if name.endswith("bias"))


def test_torch_initialization_has_torchs_bounds() -> None:
    named = build("separate", Interface(((100,),), 4, 4), init="torch").parameters.named()
    for name in ("actor.hidden0.weight", "actor.hidden0.bias"):
        values = named[name].detach()
        assert 0.08 < float(values.abs().max()) <= 0.1  # 1 / sqrt(100)


def test_log_std_starts_where_the_config_says() -> None:
    network = build("shared", GAUSSIAN, log_std_init=-1.5)
    assert (network.policy(inputs(GAUSSIAN))[..., 2:] == -1.5).all()
    assert network.parameters.modules == ("actor", "trunk", "critic")
    assert "actor.log_std" in network.parameters.named()


NETWORK_STD = Interface(((5,),), 4, 4, 2)


@pytest.mark.parametrize("init", ["orthogonal", "torch"])
def test_log_std_of_the_network_starts_there_too(init: str) -> None:
    """In every state, but for the small weights of the last layer; the means start as they do otherwise."""
    network = build("separate", NETWORK_STD, log_std_init=-1.5, init=init)
    named = network.parameters.named()
    assert (named["actor.policy.bias"][:, 2:] == -1.5).all()
    assert (named["actor.policy.bias"][:, :2] == 0.0).all() == (init == "orthogonal")
    assert "actor.log_std" not in named
    spread = 0.05 if init == "orthogonal" else 2.0
    assert (network.policy(inputs(NETWORK_STD))[..., 2:] + 1.5).abs().max() < spread


@pytest.mark.parametrize("way", WAYS_BACK.values(), ids=WAYS_BACK)
@pytest.mark.parametrize("name", ["separate", "shared"])
def test_the_way_back_through_log_std_of_the_network(name: str, way: tuple[bool, bool, tuple[str, ...]]) -> None:
    check_backward(build(name, NETWORK_STD, policy_gain=1.0), NETWORK_STD, way)


def test_no_hidden_layers_make_a_linear_network() -> None:
    assert set(build("separate", VECTOR, hidden_sizes=[]).parameters.named()) == {
        "actor.policy.weight",
        "actor.policy.bias",
        "critic.value.weight",
        "critic.value.bias",
    }


def test_an_image_too_small_for_its_kernels_is_refused() -> None:
    cnn = ConvolutionConfig(channels=[8, 8, 8], kernel_sizes=[8, 8, 8], strides=[4, 4, 4], features=16)
    with pytest.raises(UserError, match="too small"):
        build("separate", Interface(((1, 40, 40),), 2, 2), cnn=cnn)


class Plain(nn.Module):
    """A user's module, in plain torch, written for a single member."""

    def __init__(self, interface: Interface, config: ArchitectureConfig) -> None:
        super().__init__()
        ((n_inputs,),) = interface.input_shapes
        self.encoder = nn.Sequential(nn.Linear(n_inputs, 16), nn.LayerNorm(16), nn.Tanh())
        self.actor = nn.Linear(16, interface.n_parameters)
        self.critic = nn.Linear(16, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.encoder(x)
        return self.actor(h), self.critic(h).squeeze(-1)


def plain(module: type[nn.Module] = Plain, n_members: int = 3) -> ModuleArchitecture:
    return ModuleArchitecture(module, ArchitectureConfig(name="plain"), VECTOR, generators(n_members), CPU)


def test_a_plain_module_is_stacked_and_sorted_into_modules() -> None:
    network = plain()
    assert network.parameters.modules == ("actor", "trunk", "critic")
    assert network.parameters.size("trunk") == 5 * 16 + 16 + 2 * 16
    (x,) = inputs(VECTOR, 3)
    policy, value = network.evaluate((x,))[:2]
    for member in range(3):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(member)
            alone = Plain(VECTOR, ArchitectureConfig(name="plain"))
        expected_policy, expected_value = alone(x[member])
        torch.testing.assert_close(policy[member], expected_policy)
        torch.testing.assert_close(value[member], expected_value)


def test_building_a_plain_module_leaves_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()
    plain()
    assert torch.equal(torch.random.get_rng_state(), before)


class WithBuffers(Plain):
    def __init__(self, interface: Interface, config: ArchitectureConfig) -> None:
        super().__init__(interface, config)
        self.normalize = nn.BatchNorm1d(5)


class WrongShape(Plain):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        policy, value = super().forward(x)
        return policy, value.unsqueeze(-1)


class Broken(Plain):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return super().forward(x[:, :-1])


@pytest.mark.parametrize(
    ("module", "complaint"), [(WithBuffers, "buffers"), (WrongShape, "gives shapes"), (Broken, "cannot be run")]
)
def test_a_module_that_does_not_fit_is_refused_with_what_is_needed(module: type[nn.Module], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        plain(module)


@pytest.mark.parametrize("n_out", [1, 7])
def test_a_linear_layer_looks_up_the_rows_of_ones(n_out: int) -> None:
    """Against the product with vectors of zeros and ones: the outputs to the bit, gradients of sums nearly."""
    torch.manual_seed(0)
    layer = Linear("layer", 9, n_out, "torch")
    weight, bias = torch.randn(2, 9, n_out), torch.randn(2, 1, n_out)
    one, two = torch.randint(9, (2, 30, 1)), torch.stack([torch.randperm(9)[:2] for _ in range(60)]).view(2, 30, 2)
    for indices in (one, two):
        dense = torch.zeros(2, 30, 9).scatter_(-1, indices, 1.0)
        looked_up = layer(iter((weight, bias)), indices)
        torch.testing.assert_close(looked_up, layer(iter((weight, bias)), dense))
        gradient = torch.randn(2, 30, n_out)
        for found, expected in zip(
            layer.grad_parameters(indices, gradient), layer.grad_parameters(dense, gradient), strict=True
        ):
            torch.testing.assert_close(found, expected)
        alone = layer.grad_parameters(indices[1:], gradient[1:])[0]
        assert torch.equal(layer.grad_parameters(indices, gradient)[0][1:], alone)
