from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import ListConfig

from acexp.algorithm.assembly import resolve
from acexp.config import RunConfig, from_yaml, to_yaml
from acexp.config.application import compose
from acexp.config.places import place_of
from acexp.core.errors import UserError
from acexp.core.registry import Registry
from acexp.optimizers import DualConfig

Config = Callable[..., RunConfig]


@pytest.mark.parametrize("settings", [(), ("env=halfcheetah", "optim=dual", "arch=shared"), ("env=pong", "clip=value")])
def test_a_written_config_is_read_back_as_it_was(config: Config, tmp_path: Path, settings: tuple[str, ...]) -> None:
    original = resolve(config(*settings))
    (tmp_path / "config.yaml").write_text(to_yaml(original))
    assert from_yaml(tmp_path / "config.yaml", allow_plugins=False) == original


def test_the_environment_overrides_groups_and_the_command_line_overrides_the_environment(config: Config) -> None:
    assert config("env=halfcheetah").normalizer.name == "running"
    assert config("env=halfcheetah", "normalizer=none").normalizer.name == "none"
    assert config("env=halfcheetah").optim.algorithm == "rmsprop"
    assert config("env=halfcheetah", "optim.algorithm=adam").optim.algorithm == "adam"


def test_the_bound_of_an_environment_gives_way_to_the_command_line(config: Config) -> None:
    assert config("env=halfcheetah").clip.max_norm == 5.0
    assert config("env=halfcheetah", "clip=norm").clip.max_norm == 5.0
    assert config("clip.max_norm=0.5", "env=halfcheetah").clip.max_norm == 0.5
    assert config("env=halfcheetah", "clip=none").clip.name == "none"


def test_dual_inherits_what_it_does_not_set(config: Config) -> None:
    optim = config("env=lunarlander", "optim=dual", "optim.critic.learning_rate=0.5").optim
    assert isinstance(optim, DualConfig)
    assert optim.actor.learning_rate == optim.learning_rate
    assert optim.actor.anneal == optim.critic.anneal == "linear"
    assert optim.critic.learning_rate == 0.5


def test_whole_floats_are_whole_numbers(config: Config) -> None:
    steps = config("total_steps=1e6").total_steps
    assert steps == 1_000_000
    assert isinstance(steps, int)


def test_configs_cannot_be_changed(config: Config) -> None:
    with pytest.raises(AttributeError):
        config().seed = 3  # type: ignore[misc]


def test_the_file_with_the_last_word_is_found(config: Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In halfcheetah.yaml, not in single.yaml, which has the key too."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as refusal:
        compose(["env=halfcheetah", "optim.learning_rate=-1"])
    assert refusal.value.place == "command line: optim.learning_rate=-1"
    conf = tmp_path / "mine" / "env"
    conf.mkdir(parents=True)
    (conf / "bad.yaml").write_text("# @package _global_\nenv: {id: CartPole-v1}\noptim:\n  learning_rate: -1\n")
    with pytest.raises(UserError) as refusal:
        compose(["env=bad"], config_dir=str(tmp_path / "mine"))
    assert refusal.value.place == "mine/env/bad.yaml"


def test_place_of_prefers_the_later_override() -> None:
    assert place_of("a.b", ["a.b=1", "c=2", "a.b=3"]) == "command line: a.b=3"


def test_a_registry_refuses_two_things_of_one_name_and_takes_one_twice() -> None:
    registry: Registry[Callable[[], int]] = Registry("thing")

    def first() -> int:
        """One."""
        return 1

    registry.register("x")(first)
    registry.register("x")(first)
    with pytest.raises(ValueError, match="registered already"):
        registry.register("x")(lambda: 2)
    assert registry["x"].summary == "One"


def test_a_users_mistake_is_shown_in_at_most_fifteen_lines() -> None:
    error = UserError(
        "Wrong.", key="k", value="seperate", place="here", choices=tuple(map(str, range(100))), remedy="do this"
    )
    assert len(str(error).splitlines()) <= 15
    assert "and 76 more" in str(error)
    assert json.dumps(str(error))


@pytest.mark.parametrize(
    ("given", "key", "said"),
    [
        ("env.wrappers=[FrameStackObservation]", "env.wrappers", "a list of groups of settings, such as [{name: "),
        ("log.writers=[[tensorboard]]", "log.writers", "a list of texts"),
        ("log.writers=[{tensorboard: true}]", "log.writers", "a list of texts"),
        ("log.info=[[is_success]]", "log.info", "a list of texts"),
        ("arch.actor=3", "arch.actor", "a group of settings"),
        ("arch.cnn=3", "arch.cnn", "a group of settings"),
        ("arch.hidden_sizes=[[8]]", "arch.hidden_sizes", "a list of whole numbers"),
        ("arch.hidden_sizes=[{a: 3}]", "arch.hidden_sizes", "a list of whole numbers"),
        ("arch.actor.hidden_sizes=[[8]]", "arch.actor.hidden_sizes", "a list of whole numbers"),
        ("optim.betas=[[0.1,0.2]]", "optim.betas", "a list of numbers"),
        ("algo.n_envs=[3]", "algo.n_envs", "a whole number"),
    ],
)
def test_a_value_of_another_shape_is_answered_with_the_shape_of_its_setting(given: str, key: str, said: str) -> None:
    """OmegaConf does not say which setting an element of a list belongs to, and takes lists for texts."""
    with pytest.raises(UserError) as refused:
        compose([given])
    assert refused.value.key == key
    assert f"{key} is {said}" in refused.value.problem


def test_ctrl_c_while_a_config_is_half_changed_stays_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    """OmegaConf resets the flags of a list when it is interrupted, and fails over an item that is not there yet."""

    def interrupted(self: ListConfig, item: object) -> None:
        self.__dict__["_content"].append(None)
        self.__dict__["_flags_cache"] = {}
        raise KeyboardInterrupt

    monkeypatch.setattr(ListConfig, "append", interrupted)
    with pytest.raises(KeyboardInterrupt):
        compose(["arch=shared"])
