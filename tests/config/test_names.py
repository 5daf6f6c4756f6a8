"""Names of directories: what varies, the seed, and nothing that a file system or a reader stumbles over."""

from __future__ import annotations

import itertools

import pytest

from acexp.config.names import (
    LONGEST_NAME,
    NamedRun,
    is_plain,
    run_names,
    short_keys,
    slug,
    sweep_name,
    varying_keys,
)


def grid(**values: tuple[object, ...]) -> list[NamedRun]:
    """Runs of every combination, with the identity that their overrides give them; `__` stands for a dot."""
    keys = [key.replace("__", ".") for key in values]
    runs = []
    for chosen in itertools.product(*values.values()):
        overrides = ["env=pong", *(f"{key}={value}" for key, value in zip(keys, chosen, strict=True))]
        seed = dict(zip(keys, chosen, strict=True)).get("seed", 0)
        runs.append(NamedRun(overrides, int(str(seed)), repr(sorted(overrides))))
    return runs


def test_a_name_says_what_varies_and_the_seed() -> None:
    runs = grid(seed=(0, 1), clip__max_norm=(0.1, 5), arch=("shared", "separate"))
    assert run_names(runs, {})[:2] == ["arch=shared,max_norm=0.1,seed=0", "arch=separate,max_norm=0.1,seed=0"]
    assert run_names(grid(arch=("shared",)), {}) == ["seed=0"]


def test_keys_are_as_short_as_is_clear() -> None:
    assert short_keys(["clip.max_norm", "arch", "optim.actor.learning_rate", "optim.critic.learning_rate"]) == {
        "clip.max_norm": "max_norm",
        "arch": "arch",
        "optim.actor.learning_rate": "actor.learning_rate",
        "optim.critic.learning_rate": "critic.learning_rate",
    }
    assert short_keys(["env.kwargs.seed", "log.every", "env.id"]) == {
        "env.kwargs.seed": "kwargs.seed",
        "log.every": "log.every",
        "env.id": "env.id",
    }


@pytest.mark.parametrize("letter", ["x", "é", "漢"])
def test_a_long_name_is_cut_in_bytes_and_keeps_its_seed(letter: str) -> None:
    runs = grid(env__kwargs__how=(letter * 300, letter * 301), seed=(0, 123456))
    names = run_names(runs, {})
    assert len(set(names)) == 4
    assert all(len(name.encode()) <= LONGEST_NAME for name in names)
    assert all(name.endswith(f",seed={run.seed}") for name, run in zip(names, runs, strict=True))
    assert len(slug(letter * 400).encode()) <= LONGEST_NAME
    assert len(sweep_name(letter * 400, ["seed"], []).encode()) <= LONGEST_NAME


def test_names_that_fall_together_get_a_suffix_that_does_not_depend_on_their_order() -> None:
    runs = grid(env__kwargs__tag=("a/b", "a-b"), seed=(0, 1))
    names = run_names(runs, {})
    assert len(set(names)) == 4
    assert all(
        name.startswith("tag=a-b-") and name.endswith(f",seed={run.seed}")
        for name, run in zip(names, runs, strict=True)
    )
    assert run_names(runs[::-1], {}) == names[::-1]


def test_values_are_plain() -> None:
    runs = grid(arch__hidden_sizes=("[64,64]", "[]"), optim__learning_rate=("1e-3", "-1"), plugins=("['../x']", "null"))
    assert run_names(runs, {})[0] == "hidden_sizes=64-64,learning_rate=1e-3,plugins=..-x,seed=0"
    assert run_names(runs, {})[-1] == "hidden_sizes=none,learning_rate=-1,plugins=null,seed=0"


def test_directory_names_are_safe() -> None:
    assert slug("seed=1,env.id=ALE/Pong-v5") == "seed=1,env.id=ALE-Pong-v5"
    assert slug("plugins=['../x']") == "plugins=-..-x"
    assert slug("x" * 400) != slug("x" * 401)


def test_runs_that_have_begun_keep_their_directories() -> None:
    """Those of earlier versions, of a sweep that has grown since, and of runs whose identities are equal."""
    runs = grid(arch=("shared", "separate"), seed=(0, 1))
    earlier = {"arch=shared,env=pong,seed=1": runs[1].identity, "seed=0": runs[2].identity}
    assert run_names(runs, earlier) == [
        "arch=shared,seed=0",
        "arch=shared,env=pong,seed=1",
        "seed=0",
        "arch=separate,seed=1",
    ]
    same = [NamedRun([f"device={device}"], 0, "same") for device in ("cpu", "cuda")]
    assert run_names(same, {"seed=0": "same"}) == ["seed=0", "device=cuda,seed=0"]
    assert run_names(same, {"device=cuda,seed=0": "same"}) == ["device=cpu,seed=0", "device=cuda,seed=0"]


def test_a_run_whose_name_another_run_has_is_named_by_all_overrides() -> None:
    """Several sweeps can have one folder."""
    assert run_names(grid(arch=("shared",)), {"seed=0": "another"}) == ["arch=shared,env=pong,seed=0"]


def test_overrides_are_read_without_what_hydra_adds() -> None:
    runs = [["+env.kwargs.how=a", "seed=0"], ["+env.kwargs.how=b", "seed=0"]]
    assert varying_keys(runs) == ["env.kwargs.how"]
    assert run_names([NamedRun(run, 0, "") for run in runs], {}) == ["how=a,seed=0", "how=b,seed=0"]


def test_a_sweep_is_named_by_its_environment_what_varies_and_a_hash() -> None:
    command = ["env=halfcheetah", "seed=0,1", "arch=shared,separate", "clip.max_norm=0.1,5"]
    name = sweep_name("halfcheetah", ["seed", "arch", "clip.max_norm"], command)
    assert name[:-6] == "halfcheetah,arch,clip.max_norm,seed-"
    assert sweep_name("halfcheetah", ["clip.max_norm", "arch", "seed"], command[::-1]) == name
    assert (
        sweep_name("halfcheetah", ["seed", "arch", "clip.max_norm"], [*command, "hydra.launcher.processes=3"]) == name
    )
    assert sweep_name("halfcheetah", ["seed", "arch", "clip.max_norm"], [*command, "algo.n_steps=3"]) != name


@pytest.mark.parametrize("name", ["", " ", ".", "..", "a/b", "/tmp/x", "../x", "'..'", "..("])
def test_what_is_no_name(name: str) -> None:
    assert not is_plain(name)
    assert is_plain("clipping 2")
