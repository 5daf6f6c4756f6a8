"""The study of what matters: its cells are valid, its statistics are right, and its page says what its data say."""

from __future__ import annotations

import importlib
import math
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from acexp.config.run_identity import identity
from acexp.core.numbers import NOTHING
from acexp.metrics import Series
from acexp.report.inference import Interval
from acexp.report.records import collect
from acexp.report.scores import Estimate
from tests.helpers import ESTIMATE, REPOSITORY

Modules = Callable[[str], ModuleType]
FOLDER = REPOSITORY / "studies" / "what-matters"


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Modules:
    """A module of the study, whose modules find each other as scripts do."""
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module


@pytest.fixture
def empty(modules: Modules, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A folder of data without cells, in a study in which every environment that counts has every choice."""
    data, environments = modules("data"), modules("environments").ENVIRONMENTS
    for name, environment in environments.items():
        changed = replace(environment, choices=(), has_all=environment.counts)
        monkeypatch.setitem(environments, name, changed)
    monkeypatch.setattr(data, "DATA", tmp_path / "data")
    monkeypatch.setattr(modules("effects"), "CHANCE", tmp_path / "data" / "random.csv")
    data._by_cell.cache_clear()
    yield tmp_path / "data"
    data._by_cell.cache_clear()


def test_every_level_of_every_choice_has_a_config_of_its_own(modules: Modules) -> None:
    """Two levels of a choice would be one experiment if they had the same identity."""
    choices, environments, plan = modules("choices"), modules("environments"), modules("plan")
    for environment in environments.ENVIRONMENTS.values():
        for choice in choices.CHOICES.values():
            if choice.concerns(environment):
                firsts = [cell.first for cell in plan.cells(environment, choice)]
                assert len(set(firsts)) == len(firsts), (environment.name, choice.name)


def test_claims_and_the_picture_compare_levels_that_are_trained(modules: Modules) -> None:
    choices, claims, picture = modules("choices"), modules("claims"), modules("picture")
    for words, compared in (*((claim.text, claim.compared) for claim in claims.CLAIMS), *picture.ROWS):
        assert compared.level in choices.CHOICES[compared.choice].levels, words
        assert compared.other in choices.CHOICES[compared.other_choice or compared.choice].levels, words


def test_batches_of_all_shapes_are_equally_large(modules: Modules) -> None:
    choices, environments, plan = modules("choices"), modules("environments"), modules("plan")
    choice = choices.CHOICES["batch"]
    for environment in environments.ENVIRONMENTS.values():
        preset = plan.config(environment, choices.CHOICES["preset"], "", 0).algo
        assert preset.n_envs * preset.n_steps == environment.batch
        for level in choice.levels:
            algo = plan.config(environment, choice, level, 0).algo
            assert algo.n_envs * algo.n_steps == environment.batch


def test_a_lower_learning_rate_is_a_share_of_each_presets_own(modules: Modules) -> None:
    choices, environments, plan = modules("choices"), modules("environments"), modules("plan")
    choice = choices.CHOICES["rate"]
    for name, preset in (("halfcheetah", 7e-4), ("hopper", 1.4e-3), ("lunarlander", 5e-3)):
        for level in choice.levels:
            config = plan.config(environments.ENVIRONMENTS[name], choice, level, 0)
            assert config.optim.learning_rate == pytest.approx(preset / 4)
    assert not choice.concerns(environments.ENVIRONMENTS["cartpole"])


def test_levels_that_differ_in_their_last_value_and_miss_the_same_seeds_share_a_command(
    modules: Modules, empty: Path
) -> None:
    choices, environments, plan = modules("choices"), modules("environments"), modules("plan")
    train, data = modules("train"), modules("data")
    environment = environments.Environment("cliff", "Cliff", "experiment=cliffwalking", "total_steps=64")
    choice = choices.Choice("c", "C", ("clip=none", "clip=norm clip.max_norm=1", "clip=norm clip.max_norm=2"))
    wanted = plan.cells(environment, choice)
    one, two = train.sweeps(wanted, choices.SEEDS)
    start, end = "acexp -m experiment=cliffwalking total_steps=64", "seed='range(10)' name=what-matters-cliff-c"
    assert one.command == f"{start} clip=none {end}-0"
    assert two.command == f"{start} clip=norm clip.max_norm=1,2 {end}-1"
    assert (one.cells, two.cells) == ((wanted[0],), (wanted[1], wanted[2]))
    # A sweep is named by its first level, whatever else is missing, and by its first seed.
    assert [sweep.name for sweep in train.sweeps(wanted[2:], choices.SEEDS)] == ["what-matters-cliff-c-2"]
    data.save(wanted[1], [{"seed": seed, "score": 1.0} for seed in choices.SEEDS])
    one, three, two = train.sweeps(wanted, choices.PRESET_SEEDS)
    assert (one.seeds, three.seeds, two.seeds) == (tuple(range(30)), tuple(range(10, 30)), tuple(range(30)))
    assert three.command.endswith("clip=norm clip.max_norm=1 seed='range(10,30)' name=what-matters-cliff-c-1-from-10")


@pytest.fixture
def write(modules: Modules, empty: Path) -> Callable[..., None]:
    """Saves a cell as `train.py` does; runs reach in training what their policies score."""
    choices, environments, plan, data = modules("choices"), modules("environments"), modules("plan"), modules("data")

    def save(environment: str, choice: str, level: str, scores: Sequence[float | None], **columns: Any) -> None:
        cell = plan.cell(environments.ENVIRONMENTS[environment], choices.CHOICES[choice], level)
        first = columns.pop("first", 0)
        measured = (
            (seed, dict.fromkeys(("score", "training", "area"), score)) for seed, score in enumerate(scores, first)
        )
        data.save(cell, [{"seed": seed, **measures, **columns} for seed, measures in measured])

    return save


def chance(folder: Path, **means: float) -> None:
    """Save what random actions reach."""
    folder.mkdir(exist_ok=True)
    rows = [{"environment": name, "mean": mean, "std": 1.0} for name, mean in means.items()]
    pd.DataFrame(rows).to_csv(folder / "random.csv", index=False)


def test_effects_by_hand(modules: Modules, empty: Path, write: Callable[..., None]) -> None:
    """Two environments, whose presets learn 100 and 200 above random actions; the level adds 10 and takes away 40."""
    choices, effects = modules("choices"), modules("effects")
    noise = np.linspace(-4.5, 4.5, 10)
    for name, preset, change in (("hopper", 150.0, 10.0), ("walker2d", 250.0, -40.0)):
        write(name, "preset", "", preset + noise)
        write(name, "layer-norm", "arch.layer_norm=true", preset + change + noise[::-1])
    chance(empty, hopper=50.0, walker2d=50.0)
    choice = replace(choices.CHOICES["layer-norm"], levels=("arch.layer_norm=true",))
    hopper, walker, both = effects.of_choice(choice)
    assert [each.where for each in (hopper, walker, both)] == ["Hopper", "Walker2d", "all"]
    assert hopper.difference.value == pytest.approx(10.0)
    assert hopper.percent.value == pytest.approx(10.0)
    assert walker.percent.value == pytest.approx(-20.0)
    assert both.percent.value == pytest.approx(-5.0)
    assert (both.n, both.n_environments) == (10, 2)
    # Both sides have a deviation of 3.0277, so that the difference of their means has one of 1.3540, with 18 degrees of
    # freedom and a t of 2.1009.
    deviation = math.sqrt(2 * 3.027650**2 / 10)
    margin = 2.100922 * deviation
    assert hopper.difference.interval == pytest.approx((10.0 - margin, 10.0 + margin), rel=1e-5)
    # In percent it is 100 (score - preset) / (preset - random), whose derivatives are 1 by the score and -1.1 by the
    # preset, for a preset of 150: 110 / 100. The variance is 1 + 1.1^2 times that of a mean, 0.91667, with
    # (1 + 1.1^2)^2 / (1 / 9 + 1.1^4 / 9) = 17.839 degrees of freedom and a t of 2.1023.
    margin = 2.102287 * math.sqrt(0.916667 * (1 + 1.1**2))
    assert hopper.percent.interval == pytest.approx((10.0 - margin, 10.0 + margin), rel=1e-5)
    # In Walker2d: 1/2 and -(1 - 0.2) / 2. The mean of both environments has a quarter of the sum of both variances.
    variances = [0.916667 * each for each in (1.0, 1.1**2, 0.5**2, 0.4**2)]
    df = sum(variances) ** 2 / sum(each**2 / 9 for each in variances)
    assert df == pytest.approx(24.2064, rel=1e-4)  # with a t of 2.0630
    margin = 2.062968 * math.sqrt(sum(variances) / 4)
    assert both.percent.interval == pytest.approx((-5.0 - margin, -5.0 + margin), rel=1e-5)
    assert walker.probability == 0.0
    assert (hopper.probability + walker.probability) / 2 == both.probability


def test_a_level_is_compared_with_all_runs_of_the_preset_and_with_itself_not_at_all(
    modules: Modules, empty: Path, write: Callable[..., None]
) -> None:
    """HalfCheetah's preset has a shared trunk and two optimizers, and thirty runs: ten of 90, twenty of 105."""
    choices, effects, answers = modules("choices"), modules("effects"), modules("answers")
    chance(empty, halfcheetah=0.0)
    write("halfcheetah", "preset", "", [90.0] * 10 + [105.0] * 20)
    write("halfcheetah", "networks", "arch=separate optim=dual", [80.0] * 10)
    write("halfcheetah", "networks", "arch=separate optim=dual", [10.0] * 10, first=30)
    write("halfcheetah", "preset", "", [110.0] * 10, first=30)
    choice = choices.CHOICES["networks"]
    (separate,) = effects.of_choice(choice)
    assert (separate.n, separate.percent.value) == (10, pytest.approx(-20.0))
    # On the other seeds the preset has 110; what counts as 100% is still what its own seeds learn.
    (again,) = effects.effects(
        choice, "arch=separate optim=dual", (choice, "arch=shared optim=dual"), choices.OTHER_SEEDS
    )
    assert again.percent.value == pytest.approx(-100.0)
    assert not {*choices.OTHER_SEEDS} & {*choices.PRESET_SEEDS}
    shared = next(line for line in answers.choice("networks").splitlines() if "`arch=shared optim=dual`" in line)
    assert [cell.strip() for cell in shared.split("|")[2:-1]] == ["preset", NOTHING, NOTHING, NOTHING]


def test_what_contradicts_a_claim_is_trained_again(modules: Modules, empty: Path, write: Callable[..., None]) -> None:
    """The claim that an entropy bonus does not help is contradicted in Hopper, and not in Walker2d or over both."""
    choices, environments = modules("choices"), modules("environments")
    claims, answers = modules("claims"), modules("answers")
    chance(empty, hopper=0.0, walker2d=0.0)
    levels = ("algo.entropy_coef=0.0", "algo.entropy_coef=0.01")
    noise = np.linspace(-1.0, 1.0, 10)
    for name, without in (("hopper", 70.0), ("walker2d", 200.0)):
        write(name, "preset", "", without + noise)
        for level, score in zip(levels, (without, 100.0), strict=True):
            if level != levels[0]:  # which the preset has
                write(name, "entropy", level, score + noise)
    for name, expected in (("hopper", levels), ("walker2d", ())):
        cells = claims.contradicted(environments.ENVIRONMENTS[name], choices.CHOICES["entropy"])
        assert tuple(cell.level for cell in cells) == expected, name
    sanity = replace(environments.ENVIRONMENTS["hopper"], counts=False)
    assert not claims.contradicted(sanity, choices.CHOICES["entropy"])
    assert answers.again() == answers.UNMEASURED
    for name in ("hopper", "walker2d"):
        write(name, "preset", "", 70.0 + noise, first=30)
        write(name, "entropy", levels[1], 98.0 + noise, first=30)
    (row,) = [line for line in answers.again().splitlines() if "| not worse |" in line]
    # Together the preset has 70 in forty runs, with the bonus it is 100 and 98 in ten runs each.
    shown = ["not worse", "Hopper", "-43", "-40", "-41", "no", "no"]
    cells = [cell.strip().partition(" [")[0] for cell in row.split("|")[1:-1]]
    assert cells == ["`algo.entropy_coef=0.0` - `algo.entropy_coef=0.01`", *shown]


def test_an_environment_that_a_claim_excepts_is_left_out(
    modules: Modules, empty: Path, write: Callable[..., None]
) -> None:
    """Of its comparison, of their mean, and of what is trained again."""
    choices, claims, environments = modules("choices"), modules("claims"), modules("environments").ENVIRONMENTS
    comparison = modules("comparisons").Comparison("layer-norm", "arch.layer_norm=true", "arch.layer_norm=false")
    chance(empty, halfcheetah=0.0, hopper=0.0, walker2d=0.0)
    noise = np.linspace(-1.0, 1.0, 10)
    for name, score in (("halfcheetah", 110.0), ("hopper", 40.0), ("walker2d", 130.0)):
        write(name, "preset", "", 100.0 + noise)
        write(name, "layer-norm", "arch.layer_norm=true", score + noise)
    assert [round(each.percent.value) for each in comparison.effects()] == [10, -60, 30, -7]
    excepting = replace(comparison, without="Hopper")
    assert {each.where: round(each.percent.value) for each in excepting.effects()} == {
        "HalfCheetah": 10,
        "Walker2d": 30,
        "all": 20,
    }
    for compared, expected in ((comparison, 2), (excepting, 0)):
        claim = claims.Claim(compared, claims.NOT_WORSE, "", "")
        assert len(contradicted_by(claims, claim, environments["hopper"], choices.CHOICES["layer-norm"])) == expected


def contradicted_by(claims: ModuleType, claim: Any, environment: Any, choice: Any) -> list[Any]:
    """The cells to train again, if there is this claim alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(claims, "CLAIMS", (claim,))
        return claims.contradicted(environment, choice)


def test_presets_with_different_levels_have_no_mean(modules: Modules, empty: Path, write: Callable[..., None]) -> None:
    """HalfCheetah's preset has a lambda of 0.9 and LunarLander's 0.995: a lambda of 1 is another change in each."""
    choices, effects, answers = modules("choices"), modules("effects"), modules("answers")
    chance(empty, halfcheetah=0.0, lunarlander=0.0)
    low, one = "algo.gae_lambda=0.9", "algo.gae_lambda=1.0"
    for name in ("halfcheetah", "lunarlander"):
        write(name, "preset", "", [100.0] * 10)
        write(name, "lambda", one, [80.0] * 10)
        write(name, "gain", "arch.policy_gain=1.0", [90.0] * 10)
    write("lunarlander", "lambda", low, [70.0] * 10)
    rows = {line.split("|")[1].strip(): line for line in answers.choice("lambda").splitlines()[2:]}
    shown = [[cell.strip().split(" ")[0] for cell in rows[f"`{level}`"].split("|")[2:6]] for level in (low, one)]
    assert shown == [["preset", "**-30", NOTHING, NOTHING], ["**-20", "**-20", NOTHING, NOTHING]]
    # What compares two levels is the same change in both.
    choice = choices.CHOICES["lambda"]
    assert effects.effects(choice, one, (choice, low))[-1].percent.value == pytest.approx((-20.0 + 10.0) / 2)
    # Both presets begin with a small last layer.
    over = effects.of_choice(choices.CHOICES["gain"])[-1]
    assert (over.where, over.percent.value, over.n_environments) == ("all", pytest.approx(-10.0), 2)


def test_the_picture_has_the_largest_difference_first(
    modules: Modules, empty: Path, write: Callable[..., None], tmp_path: Path
) -> None:
    """What only one environment has, such as observations scaled by their bounds, has a row too."""
    picture = modules("picture")
    chance(empty, hopper=0.0, walker2d=0.0, lunarlander=0.0)
    picture.draw(tmp_path / "none.svg")
    assert not (tmp_path / "none.svg").exists()
    noise = np.linspace(-4.5, 4.5, 10)
    levels = {("gain", "arch.policy_gain=1.0"): 95.0, ("activation", "arch.activation=relu"): 60.0}
    for name in ("hopper", "walker2d"):
        write(name, "preset", "", 100.0 + noise)
        for (choice, level), score in levels.items():
            write(name, choice, level, score + noise)
    write("lunarlander", "preset", "", 100.0 + noise)
    write("lunarlander", "bounds", "normalizer=bounds", 80.0 + noise)
    shown = {label: [(each.where, round(each.percent.value)) for each in effects] for label, effects in picture.rows()}
    relu, bounds, gain = shown
    assert shown[relu] == [("Hopper", -40), ("Walker2d", -40), ("all", -40)]
    assert shown[bounds] == [("LunarLander", -20)]
    assert shown[gain] == [("Hopper", -5), ("Walker2d", -5), ("all", -5)]
    picture.draw(tmp_path / "picture.svg")
    assert (tmp_path / "picture.svg").read_text().count("<svg") == 1


def test_what_training_says_stands_beside_the_score(modules: Modules, empty: Path, write: Callable[..., None]) -> None:
    """ReLU loses half of the score and a tenth of the learning curve; layer normalization loses in training only."""
    answers = modules("answers")
    chance(empty, hopper=0.0)
    noise = np.linspace(-4.5, 4.5, 10)
    write("hopper", "preset", "", 100.0 + noise, training=50.0, area=10.0)
    write("hopper", "activation", "arch.activation=relu", 50.0 + noise, training=50.0, area=9.0)
    write("hopper", "layer-norm", "arch.layer_norm=true", 100.0 + noise, training=40.0, area=10.0)
    write("hopper", "gain", "arch.policy_gain=1.0", 99.0 + noise, training=50.0, area=10.0)
    *lines, _, sentence = answers.measures().splitlines()
    assert sentence == "In 2 of these 2 rows, not all of the three measures are bold."
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:]]
    assert [[cell.partition(" [")[0] for cell in row] for row in rows] == [
        ["Hopper", "`arch.activation=relu`", "**-50", "+0", "**-10", "45.5, 50.0, 54.5"],
        ["Hopper", "`arch.layer_norm=true`", "+0", "**-20", "+0", "95.5, 100, 104"],
    ]
    table = answers.all_effects()
    relu = table[table["level"] == "arch.activation=relu"].set_index("measure")["percent"]
    assert relu.round().to_dict() == {"score": -50.0, "training": 0.0, "area": -10.0}


def test_an_interaction_by_hand(modules: Modules, empty: Path, write: Callable[..., None]) -> None:
    """Wide layers add 30 to a shared trunk, and 10 to separate networks: 20 more, where the preset learns 200."""
    interactions = modules("interactions")
    chance(empty, walker2d=100.0)
    write("walker2d", "preset", "", [300.0] * 10)  # shared and narrow
    scores = {"arch=shared arch.hidden_sizes=[256,256]": 330.0}
    scores |= {"arch=separate arch.hidden_sizes=[64,64]": 280.0, "arch=separate arch.hidden_sizes=[256,256]": 290.0}
    for level, score in scores.items():
        row = next(line for line in interactions.table().splitlines() if "wide layers" in line)
        assert row.split("|")[2].strip() == NOTHING
        write("walker2d", "width", level, [score] * 10)
    row = next(line for line in interactions.table().splitlines() if "wide layers" in line)
    assert row.split("|")[2].strip() == "+10 [+10, +10]"


def test_the_effect_of_a_bound_is_told_apart_by_optimizers_whatever_the_preset_has(
    modules: Modules, empty: Path, write: Callable[..., None]
) -> None:
    """The preset learns 100; with one optimizer a bound takes 30 of it, with two it gives 5."""
    logs = modules("logs")
    write("walker2d", "preset", "", [100.0] * 10)
    chance(empty, walker2d=0.0, cartpole=0.0)
    for optim, unclipped, clipped in (("single", 100.0, 70.0), ("dual", 90.0, 95.0)):
        choice, scores = "clipping-and-optimizers", [clipped + each for each in [0.5, -0.5] * 5]
        write("walker2d", choice, f"optim={optim} {logs.UNCLIPPED}", [unclipped] * 10, **{"kurtosis optim_actor": 4.0})
        write("walker2d", choice, f"optim={optim} {logs.BOUND}", scores, **{"clipped optim_actor": 0.25})
    write("walker2d", "clipping-and-optimizers", f"optim=single {logs.BY_MODULE}", [90.0] * 10)
    write("cartpole", "clipping", logs.UNCLIPPED, [90.0] * 10, **{"kurtosis optim_joint": 4.0})
    (row,) = [line for line in logs.shared_bound().splitlines() if "Walker2d" in line]
    shown = ["-30 [-30, -30]", "+20 [+20, +20]", "+5 [+5, +5]", NOTHING]
    assert [cell.strip() for cell in row.split("|")[2:6]] == shown
    _, _, row = logs.heavy_tails().splitlines()  # CartPole's preset has one optimizer
    shown = ["4.00 [4.00, 4.00]", NOTHING, "0.25", NOTHING, "+5 [+5, +5]"]
    assert [cell.strip() for cell in row.split("|")[2:7]] == shown


def test_critics_are_shown_by_who_steps_the_trunk(modules: Modules, empty: Path, write: Callable[..., None]) -> None:
    logs = modules("logs")
    chance(empty, hopper=0.0)
    for level, explained in ((logs.SEPARATE, 0.9), (logs.SHARED, 0.8), (f"{logs.SHARED} optim.trunk=actor", -0.5)):
        write("hopper", "networks", level, [100.0] * 10, **{"explained last": explained})
    (row,) = [line for line in logs.critics().splitlines() if "Hopper" in line]
    shown = ["0.90", "0.80", "-0.50", NOTHING]
    assert [cell.strip() for cell in row.split("|")[2:6]] == shown


def test_the_logs_of_large_effects_stand_beside_the_preset(
    modules: Modules, empty: Path, write: Callable[..., None]
) -> None:
    """ReLU loses half of what the preset learns; a smaller loss that may be chance has no row."""
    logs = modules("logs")
    chance(empty, hopper=0.0)
    noise = np.linspace(-4.5, 4.5, 10)
    clipped = {"clipped optim_actor": 0.5, "clipped optim_critic": 0.25}
    norms = {"norm actor": 2.0, "norm actor after": 0.5, "norm critic": 0.125, "norm critic after": 0.125}
    write("hopper", "preset", "", 100.0 + noise, **{"entropy middle": 1.5})
    write("hopper", "activation", "arch.activation=relu", 50.0 + noise, **norms, **clipped)
    write("hopper", "rate", "arch.activation=relu", 50.0 + noise, cosine=-0.25)
    write("hopper", "layer-norm", "arch.layer_norm=true", 99.0 + noise)
    write("hopper", "networks", "arch=separate optim=dual", 40.0 + noise, **{"explained last": 0.5})  # width, too
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in logs.large_effects().splitlines()[2:]]
    none = [NOTHING] * 6
    assert [row[:2] + row[3:] for row in rows] == [
        ["**Hopper**", "preset", "100", "1.50", NOTHING, *none[1:]],
        ["Hopper", "`arch=separate optim=dual`", "40.0", NOTHING, "0.50", *none[:5]],
        ["Hopper", "`arch.activation=relu`", "50.0", *none[:2], "2.00 to 0.50", "0.12", NOTHING, "0.50, 0.25", NOTHING],
        ["Hopper", "`arch.activation=relu`, a quarter of the learning rate", "50.0", *none[1:], NOTHING, "-0.25"],
    ]
    assert [row[2].partition(" ")[0] for row in rows] == [NOTHING, "-60", "-50", "-50"]


def test_a_run_that_diverged_scores_what_random_actions_do(
    modules: Modules, empty: Path, write: Callable[..., None]
) -> None:
    """The preset learns 100 above random actions; four runs of the level lose all of it, the others nothing."""
    choices, answers, effects = modules("choices"), modules("answers"), modules("effects")
    write("hopper", "preset", "", [150.0] * 10)
    write("hopper", "layer-norm", "arch.layer_norm=true", [150.0] * 6 + [None] * 4)
    chance(empty, hopper=50.0)
    (effect,) = effects.of_choice(replace(choices.CHOICES["layer-norm"], levels=("arch.layer_norm=true",)))
    assert (effect.percent.value, effect.n, effect.n_diverged) == (pytest.approx(-40.0), 10, 4)
    assert "-40 [-77, -3], 4 diverged |" in answers.choice("layer-norm")


def test_two_seeds_have_no_interval_and_decide_nothing(
    modules: Modules, empty: Path, write: Callable[..., None]
) -> None:
    choices, effects, claims = modules("choices"), modules("effects"), modules("claims")
    write("hopper", "preset", "", [1.0, 2.0])
    write("hopper", "layer-norm", "arch.layer_norm=true", [11.0, 12.5])
    chance(empty, hopper=0.0)
    (effect,) = effects.of_choice(replace(choices.CHOICES["layer-norm"], levels=("arch.layer_norm=true",)))
    assert effect.percent.interval is None
    assert effect.p == 1.0
    assert claims.agreement(claims.CLAIMS[0], effect) == "undecided"


@pytest.mark.parametrize(
    ("expected", "low", "high", "answer"),
    [
        ("better", 1.0, 5.0, "yes"),
        ("better", -5.0, -1.0, "no"),
        ("better", -1.0, 5.0, "undecided"),
        ("needed", 11.0, 50.0, "yes"),
        ("needed", 1.0, 9.0, "no"),
        ("needed", 1.0, 50.0, "undecided"),
        ("not better", -60.0, -40.0, "yes"),
        ("not better", 3.0, 5.0, "yes"),
        ("not better", 11.0, 20.0, "no"),
        ("worse", -5.0, -1.0, "yes"),
        ("worse", 1.0, 5.0, "no"),
        ("a little better", 1.0, 9.0, "yes"),
        ("a little better", 11.0, 20.0, "no"),
        ("a little better", 1.0, 20.0, "undecided"),
        ("as good", -9.0, 9.0, "yes"),
        ("as good", 11.0, 20.0, "no"),
        ("as good", -20.0, -11.0, "no"),
        ("as good", 5.0, 15.0, "undecided"),
        ("not worse", -9.0, 80.0, "yes"),
        ("not worse", -40.0, -11.0, "no"),
        ("not worse", -40.0, 20.0, "undecided"),
    ],
)
def test_agreement_is_read_from_the_interval(
    modules: Modules, expected: str, low: float, high: float, answer: str
) -> None:
    claims, effects = modules("claims"), modules("effects")
    estimate = Estimate((low + high) / 2, Interval(low, high))
    effect = effects.Effect("all", "a", "b", None, None, estimate, 0.5, 0.5, 10, 5)
    assert claims.agreement(replace(claims.CLAIMS[0], expected=expected), effect) == answer


def test_a_claim_is_shown_by_as_many_environments_as_were_measured(
    modules: Modules, empty: Path, write: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """ReLU loses 40 of the 100 that Hopper's preset learns, then 20 in Walker2d."""
    answers = modules("answers")
    monkeypatch.setattr(answers, "CLAIMS", [claim for claim in answers.CLAIMS if claim.text.startswith("ReLU")])
    chance(empty, hopper=0.0, walker2d=0.0)
    noise = np.linspace(-4.5, 4.5, 10)

    def row() -> list[str]:
        _, _, line = answers.claims().splitlines()
        difference, _, _, n, agreement, places, area, by_area = (cell.strip() for cell in line.split("|")[4:-1])
        assert (area, by_area) == (difference, NOTHING if area == NOTHING else agreement.strip("*"))
        return [difference.partition(" ")[0], n, agreement, places]

    assert row() == [NOTHING, NOTHING, answers.UNMEASURED, NOTHING]
    for environment, relu, shown in (
        ("hopper", 60.0, ["-40", "10 x 1", "**yes**", "yes 1"]),
        ("walker2d", 80.0, ["-30", "10 x 2", "**yes**", "yes 2"]),
    ):
        write(environment, "preset", "", 100.0 + noise)
        write(environment, "activation", "arch.activation=relu", relu + noise)
        assert row() == shown


def test_tenths_and_kurtosis_by_hand(modules: Modules) -> None:
    measures = modules("measures")
    steps = np.arange(1.0, 21.0) * 50.0  # 20 values in 1,000 steps
    assert measures.in_tenths(Series(steps, np.arange(20.0)), 1000) == [2.0 * i + 0.5 for i in range(10)]
    late = Series(np.array([550.0]), np.array([7.0]))
    assert measures.in_tenths(late, 1000) == [7.0] * 10
    # Half of a window at 1, half at 3: the kurtosis of a fair coin is 1. One of a hundred at 100: 98.01 + 1 / 99.
    coin = np.tile([1.0, 3.0], 50)
    spike = np.where(np.arange(100) == 0, 100.0, 1.0)
    assert measures.kurtosis(coin) == pytest.approx(1.0)
    assert measures.kurtosis(spike) == pytest.approx(98.01 + 0.01 / 0.99, rel=1e-3)
    assert measures.kurtosis(np.concatenate([coin, spike, spike])) == pytest.approx(98.02, rel=1e-3)
    assert math.isnan(measures.kurtosis(coin[:99]))


def test_a_choice_is_trained_once_and_saved_as_its_runs_say(
    modules: Modules, empty: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By the real commands, in a folder of its own: three seeds of two levels, one of which is the preset's."""
    choices, environments, plan = modules("choices"), modules("environments"), modules("plan")
    train, data = modules("train"), modules("data")
    monkeypatch.setattr(train, "ROOT", tmp_path)
    monkeypatch.setattr(train, "EPISODES", 2)
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    environment = environments.Environment("cliff", "Cliff", "experiment=cliffwalking", "total_steps=1280")
    choice = choices.Choice("clip", "Clipping", ("clip=none log.every=1", "clip.max_norm=0.5"))
    train.train(plan.cells(environment, choices.Choice("preset", "The preset", ("",))), (0, 1, 2))
    train.train(plan.cells(environment, choice), (0, 1, 2))
    assert sorted(path.name for path in (empty / "cliff").iterdir()) == ["clip,clip=none,log.every=1.csv", "preset.csv"]
    ran: list[str] = []
    monkeypatch.setattr(train, "run_command", lambda command, folder: ran.append(command))
    train.train(plan.cells(environment, choice), (0, 1, 2))
    assert ran == []
    (clipped,) = (cell for cell in plan.cells(environment, choice) if "none" not in cell.level)
    assert data.saved(clipped) == empty / "cliff" / "preset.csv"
    saved = data.read(empty / "cliff" / "clip,clip=none,log.every=1.csv")
    assert list(saved.index) == [0, 1, 2]
    assert set(saved["engine"]) == {"tabular"}
    assert saved["versions"].str.contains("torch").all()
    records = collect(tmp_path / "outputs" / "sweeps" / "what-matters-cliff-clip-0").records
    for record in records:
        assert record.evaluated is not None
        assert saved.loc[record.seed, "score"] == pytest.approx(record.evaluated.mean, rel=1e-5)
        norms = record.series["grad_norm/actor/before_clip"].values
        assert len(norms) == 20  # each of the updates
        assert saved.loc[record.seed, "norm actor"] == pytest.approx(float(np.median(norms)), rel=1e-5)
    assert (saved["clipped optim_joint"] == 0.0).all()


def test_a_run_that_failed_is_left_out_and_tried_again(
    modules: Modules, empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choices, environments, plan = modules("choices"), modules("environments"), modules("plan")
    train, data = modules("train"), modules("data")
    environment = environments.Environment("cliff", "Cliff", "experiment=cliffwalking", "total_steps=1280")
    (cell,) = plan.cells(environment, choices.Choice("preset", "The preset", ("",)))
    ran: list[str] = []
    fails = {0, 1, 2}

    def rows(folder: Path) -> Iterator[tuple[str, dict[str, object]]]:
        for seed in {0, 1, 2} - fails:
            yield identity(plan.config(environment, cell.choice, "", seed)), {"seed": seed, "score": float(seed)}

    monkeypatch.setattr(train, "run_command", lambda command, folder: ran.append(command))
    monkeypatch.setattr(train, "_rows", rows)
    assert train.train([cell], (0, 1, 2)) == 3
    assert data.saved(cell) is None
    fails -= {0, 2}
    assert train.train([cell], (0, 1, 2)) == 1
    assert list(data.read(data.saved(cell)).index) == [0, 2]
    fails.clear()
    assert train.train([cell], (0, 1, 2)) == 0
    assert "seed='range(1,2)' name=what-matters-cliff-preset-0-from-1" in ran[4]
    assert list(data.read(data.saved(cell)).index) == [0, 1, 2]


def test_the_page_says_what_the_data_say(modules: Modules) -> None:
    choices, answers = modules("choices"), modules("answers")
    page = answers.PAGE.read_text(encoding="utf-8")
    shown = {name: content.strip() for _, name, content, _ in answers.SECTION.findall(page)}
    of_choices = choices.CHOICES.keys() - choices.PRESETS.keys()
    assert set(shown) == {*answers.TABLES, *of_choices}
    for name, content in shown.items():
        assert content == answers.section(name).strip(), name
    assert answers.EFFECTS.read_text() == answers.all_effects().to_csv(
        index=False, float_format=modules("data").DIGITS, lineterminator="\n"
    )


def test_every_estimate_in_the_text_is_one_of_a_table(modules: Modules) -> None:
    """On the page, and in the README's section about it; what costs 5% has an effect of -5."""
    answers = modules("answers")
    page = answers.PAGE.read_text(encoding="utf-8")
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    (section,) = re.findall(r"^## What matters\n(.*?)^## ", readme, re.DOTALL | re.MULTILINE)
    shown = {
        numbers(found) for _, _, content, _ in answers.SECTION.findall(page) for found in ESTIMATE.findall(content)
    }
    for text in (answers.SECTION.sub("", page), section):
        written = {numbers(found) for found in ESTIMATE.findall(text.replace("%", ""))}
        assert written, text
        assert {each for each in written if not {each, flipped(each)} & shown} == set()


def numbers(found: tuple[str, str, str]) -> tuple[float, float, float]:
    value, low, high = (float(each.replace(",", "")) for each in found)
    return value, low, high


def flipped(estimate: tuple[float, float, float]) -> tuple[float, float, float]:
    value, low, high = estimate
    return -value, -high, -low


def test_a_choice_that_does_not_exist_is_named(tmp_path: Path) -> None:
    command = [sys.executable, str(FOLDER / "train.py"), "clippping"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert result.returncode == 2
    assert "there is no choice 'clippping'" in result.stderr


@pytest.fixture
def repeat(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script that repeats a run of each study."""
    monkeypatch.syspath_prepend(REPOSITORY / "studies")
    return importlib.import_module("repeat")


def test_a_repeated_run_is_compared_with_its_cell(repeat: ModuleType) -> None:
    scores = pd.Series([1.234567, 3.0], index=[0, 1])
    run = repeat.Repeat("study", (), 0, 2, True, scores)
    assert repeat.verdict(run, 1.2345671) == "equal"
    assert repeat.verdict(run, 2.0) == "another score, among those of its seeds"
    assert repeat.verdict(run, 4.0) == "outside of its seeds"


def test_the_run_that_is_repeated_is_one_of_the_saved_ones(repeat: ModuleType, config: Callable[..., Any]) -> None:
    """Its overrides give the identity that was saved with it, where one was."""
    n_known = 0
    for study in repeat.STUDIES.values():
        if not repeat.has(study, "runs"):
            continue
        run, runs = repeat.of_study(study), repeat.load(study, "runs")
        assert len(run.scores) == len(set(run.scores.index)), study.name
        if "identity" in runs:
            n_known += 1
            assert identity(config(*run.overrides, f"seed={run.seed}")) in set(runs["identity"]), study.name
    assert n_known > 3


def test_each_core_repeats_a_run(
    repeat: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On two cores, each of two runs is repeated while the other one is; the table has the order of the studies."""
    both = threading.Barrier(2)

    def repeated(run: Any) -> float:
        both.wait(timeout=60)
        return float(run.scores[run.seed])

    monkeypatch.setattr(repeat, "available_cores", lambda: 2)
    monkeypatch.setattr(repeat, "repeated", repeated)
    repeat.main(["cliffwalking-clipping", "cliffwalking-networks"])
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    assert [row[0] for row in rows] == ["| cliffwalking-networks", "| cliffwalking-clipping"]
    assert [row[-1] for row in rows] == ["equal |", "equal |"]


def test_a_run_is_repeated_as_it_was(repeat: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the real commands: a short run, twice."""
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    overrides = ("experiment=cliffwalking", "total_steps=1280")
    run = repeat.Repeat("study", overrides, 0, 2, True, pd.Series([0.0], index=[0]))
    score = repeat.repeated(run)
    again = replace(run, scores=pd.Series([score], index=[0]))
    assert repeat.verdict(again, repeat.repeated(again)) == "equal"
