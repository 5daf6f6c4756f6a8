"""What a report concludes, from runs whose numbers were thought up, against values worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from acexp.core.errors import UserError
from acexp.report import Question, Study, study
from acexp.report.charts import charts
from acexp.report.curves import usual_range
from acexp.report.tables import commands, tables
from tests.report.fabricate import evaluated, fabricate

SEPARATE = (1.0, 2.0, 6.0, 3.0)
SHARED = (5.0, 7.0, 9.0, 8.0)


def two_cells(directory: Path) -> None:
    for seed, (a, b) in enumerate(zip(SEPARATE, SHARED, strict=True)):
        fabricate(directory / f"separate{seed}", a, seed, curve=(0, a, a, a))
        fabricate(directory / f"shared{seed}", b, seed, curve=(0, 0, b, b), arch__name="shared")


def test_a_cell_in_numbers(tmp_path: Path) -> None:
    two_cells(tmp_path)
    separate, shared = study(tmp_path, Question(threshold=5.0)).scores
    assert separate.cell.levels == {"arch": "separate"}
    assert separate.mean is not None
    assert separate.median is not None
    assert separate.iqm is not None
    assert (separate.mean.value, separate.median.value, separate.iqm.value) == (3.0, 2.5, 2.5)
    interval = separate.mean.interval
    assert interval is not None
    # The deviation is the root of 14/3, and t with 3 degrees of freedom 3.18245.
    margin = 3.18245 * (14.0 / 3.0 / 4.0) ** 0.5
    assert interval == pytest.approx((3.0 - margin, 3.0 + margin), abs=1e-4)
    # Four runs give a median and an IQM no interval.
    assert separate.median.interval is None
    assert separate.iqm.interval is None
    # The area is the mean over four stretches: three quarters of each score.
    assert separate.area is not None
    assert separate.area.value == pytest.approx(0.75 * 3.0)
    assert shared.area is not None
    assert shared.area.value == pytest.approx(0.5 * 7.25)
    # Separate: only the run that scores 6 reaches 5. Shared: all do, in the third of four stretches of 100 steps.
    assert (separate.reached, separate.n_reached) == (None, 1)
    assert (shared.reached, shared.n_reached) == (300.0, 4)
    assert shared.steps_per_second == 1000.0


def test_a_comparison_in_numbers(tmp_path: Path) -> None:
    two_cells(tmp_path)
    (found,) = study(tmp_path, Question(baseline="arch=separate")).comparisons
    assert (found.cell.name, found.baseline.name) == ("arch=shared", "arch=separate")
    # The seeds are shared, but four pairs could never be certain: 2 of 16 signs are 0.125.
    assert (found.n, found.is_paired, found.n_left_out) == (4, False, 0)
    assert found.difference.value == 4.25
    # Welch: the variances of the means are 14/12 and 8.75/12, and so there are 5.70 degrees of freedom, t = 2.48.
    interval = found.difference.interval
    assert interval is not None
    assert interval == pytest.approx((4.25 - 2.48 * 1.3769, 4.25 + 2.48 * 1.3769), abs=0.01)
    # Of 16 pairs of runs, 5 < 6 alone is lost.
    assert found.probability == 15 / 16
    # Of 70 divisions, those with 9 + 8 + 7 + 6 and with 9 + 8 + 7 + 5 on one side are as extreme, on either side.
    assert found.p == found.p_corrected == 4 / 70
    assert not found.is_decided
    assert found.needed == 5
    low, high = f"{interval.low:.2f}", f"{interval.high:.2f}"
    assert found.sentence == (
        f"On Toy-v0, too few seeds to tell arch=shared from arch=separate: difference 4.25 [{low}, {high}], "
        "but corrected p = 0.057, P = 0.94, n = 4, unpaired; about 5 would be needed."
    )


@pytest.mark.parametrize("baseline", ["separate", "shared"])
def test_a_difference_that_is_decided_is_said_from_the_winners_side(tmp_path: Path, baseline: str) -> None:
    for seed in range(8):
        fabricate(tmp_path / f"a{seed}", 100.0 + seed, seed)
        fabricate(tmp_path / f"b{seed}", 300.0 + 3 * seed, seed, arch__name="shared")
    (found,) = study(tmp_path, Question(baseline=f"arch={baseline}")).comparisons
    assert found.is_decided
    assert found.sentence.startswith("On Toy-v0, arch=shared beats arch=separate by 207 [20")
    assert found.sentence.endswith(", P = 1.00, n = 8.")


def test_a_tag_is_above_another_and_beats_nothing(tmp_path: Path) -> None:
    for seed in range(6):
        fabricate(tmp_path / f"a{seed}", 0.0, seed, curve=(1.0, 2.0 + seed))
        fabricate(tmp_path / f"b{seed}", 0.0, seed, curve=(1.0, 9.0 + seed), arch__name="shared")
    (found,) = study(tmp_path, Question(metric="charts/episode_return")).comparisons
    assert "arch=shared is above arch=separate by 7.00" in found.sentence


def test_the_baseline_keeps_all_other_factors(tmp_path: Path) -> None:
    for seed in range(2):
        for arch in ("separate", "shared"):
            for norm in (0.1, 0.5, 5.0):
                name = f"{arch}{norm}{seed}"
                fabricate(tmp_path / name, norm, seed, arch__name=arch, clip__max_norm=norm)
    found = study(tmp_path, Question(baseline="arch=shared"))
    assert [(c.cell.name, c.baseline.name) for c in found.comparisons] == [
        (f"arch=separate, clip.max_norm={norm}", f"arch=shared, clip.max_norm={norm}") for norm in ("0.1", "0.5", "5")
    ]
    whole = study(tmp_path, Question(baseline="arch=shared,clip.max_norm=5"))
    assert {c.baseline.name for c in whole.comparisons} == {"arch=shared, clip.max_norm=5"}
    assert len(whole.comparisons) == 5
    without = study(tmp_path, Question())
    assert {c.baseline.name for c in without.comparisons} == {"arch=separate, clip.max_norm=0.1"}


def four_cells(directory: Path, n_seeds: int) -> None:
    """The first at 0, two far above, and one around 0."""
    for seed in range(n_seeds):
        for norm, score in ((0.1, 0.0), (0.5, 10.0 + seed), (5.0, 20.0 + seed), (50.0, (-1.0) ** seed)):
            fabricate(directory / f"{norm}-{seed}", score, seed, clip__max_norm=norm)


def test_holms_correction_counts_every_comparison(tmp_path: Path) -> None:
    """Three cells against the first: p = 2/2^7 for the two far ones, whose smallest is tripled, the next doubled."""
    four_cells(tmp_path, 7)
    found = study(tmp_path, Question()).comparisons
    assert [c.is_paired for c in found] == [True, True, True]
    assert [c.p for c in found] == [1 / 64, 1 / 64, 1.0]
    assert [c.p_corrected for c in found] == [3 / 64, 3 / 64, 1.0]
    assert [c.is_decided for c in found] == [True, True, False]


def test_pairs_that_could_never_be_certain_are_not_compared_as_pairs(tmp_path: Path) -> None:
    """Six pairs are enough for one comparison, 2/2^6, but not for three, 6/2^6; of two groups of six, 2/924 is."""
    four_cells(tmp_path, 6)
    found = study(tmp_path, Question()).comparisons
    assert [c.is_paired for c in found] == [False, False, False]
    assert [c.p for c in found] == [2 / 924, 2 / 924, 1.0]
    assert [c.p_corrected for c in found] == [6 / 924, 6 / 924, 1.0]
    assert [c.is_decided for c in found] == [True, True, False]
    assert ", unpaired." in found[0].sentence


@pytest.mark.parametrize("status", ["done", "diverged"])
def test_five_shared_seeds_can_tell(tmp_path: Path, status: str) -> None:
    """Also where they are what remains of six, and then the sixth run of the other cell counts as well."""
    for seed in range(6 if status == "diverged" else 5):
        fabricate(tmp_path / f"a{seed}", 10.0 + seed, seed)
        fabricate(tmp_path / f"b{seed}", 90.0 - seed, seed, arch__name="shared", status=status if seed == 5 else "done")
    (found,) = study(tmp_path, Question()).comparisons
    assert (found.n, found.is_paired, found.n_left_out) == (5, False, 0)
    # All of one side are above all of the other: of 252 divisions two are, of those of eleven runs into 5 and 6, one.
    assert found.p == (1 / 462 if status == "diverged" else 2 / 252)
    assert found.is_decided
    assert found.sentence.startswith("On Toy-v0, arch=shared beats arch=separate by ")
    assert found.sentence.endswith(", P = 1.00, n = 5, unpaired.")


def test_shared_seeds_are_advised_as_they_would_be_compared(tmp_path: Path) -> None:
    """Differences of about 2 with each seed: the spread of seeds hides them, but six pairs would show them."""
    for seed in range(5):
        fabricate(tmp_path / f"a{seed}", 100.0 * seed, seed)
        fabricate(tmp_path / f"b{seed}", 100.0 * seed + 2.0 + 0.1 * (-1) ** seed, seed, arch__name="shared")
    (found,) = study(tmp_path, Question()).comparisons
    assert not found.is_paired
    assert found.seeds_to_settle == 6
    assert found.sentence.endswith("n = 5, unpaired; about 6 would be needed.")


def test_two_seeds_tell_nothing(tmp_path: Path) -> None:
    for seed in range(2):
        fabricate(tmp_path / f"a{seed}", float(seed), seed)
        fabricate(tmp_path / f"b{seed}", 10.0 + seed, seed, arch__name="shared")
    found = study(tmp_path, Question())
    assert found.scores[0].mean is not None
    assert found.scores[0].mean.interval is None
    assert found.curves[0].band is None
    assert found.comparisons[0].sentence == (
        "On Toy-v0, two seeds cannot tell arch=shared from arch=separate: at least 4 are needed (n = 2)."
    )


def test_no_table_names_an_absurd_number_of_seeds(tmp_path: Path) -> None:
    for seed in range(8):
        fabricate(tmp_path / f"a{seed}", float(seed), seed)
        fabricate(tmp_path / f"b{seed}", (seed + 3) % 8 + 0.001, seed, arch__name="shared")
    found = study(tmp_path, Question())
    assert found.comparisons[0].sentence.endswith("; over 1,000 would be needed.")
    (table,) = (table for table in tables(found) if table.name == "comparisons")
    assert table.rows[0][table.columns.index("seeds needed")] == "over 1,000"


def test_what_is_higher_is_called_better_for_returns_only(tmp_path: Path) -> None:
    two_cells(tmp_path)
    for metric, is_return in ((None, True), ("charts/episode_return", False)):
        captions = [chart.caption for chart in charts(study(tmp_path, Question(metric=metric)))]
        assert any("is better" in caption for caption in captions) == is_return


def test_main_effects_and_interactions_by_hand(tmp_path: Path) -> None:
    """Cell means 10, 20 | 30, 80: additive would be 0, 30 | 40, 70. One cell has more seeds and weighs no more."""
    means = {("separate", 0.1): 10.0, ("separate", 5.0): 20.0, ("shared", 0.1): 30.0, ("shared", 5.0): 80.0}
    for (arch, norm), mean in means.items():
        for seed, offset in enumerate((-1.0, 1.0, -2.0, 2.0) if arch == "shared" else (-1.0, 0.0, 1.0)):
            name = f"{arch}{norm}{seed}"
            fabricate(tmp_path / name, mean + offset, seed, arch__name=arch, clip__max_norm=norm)
    found = study(tmp_path, Question(baseline="arch=shared"))
    effects = {(e.factor, e.level): e for e in found.effects}
    assert {key: e.mean.value for key, e in effects.items()} == {
        ("arch", "separate"): 15.0,
        ("arch", "shared"): 55.0,
        ("clip.max_norm", "0.1"): 20.0,
        ("clip.max_norm", "5"): 50.0,
    }
    difference = effects["arch", "separate"].difference
    assert difference is not None
    assert difference.value == -40.0
    assert difference.interval is not None
    # The variances of the means are 1/3 and 5/6, twice each, and the weights 1/2: 9.48 degrees of freedom, t = 2.245.
    margin = 2.245 * (0.25 * 2.0 * (1.0 / 3.0 + 5.0 / 6.0)) ** 0.5
    assert difference.interval == pytest.approx((-40.0 - margin, -40.0 + margin), abs=0.01)
    assert effects["arch", "shared"].difference is None
    departures = {i.levels: i.departure.value for i in found.interactions if i.departure}
    assert departures == pytest.approx(
        {("separate", "0.1"): 10.0, ("separate", "5"): -10.0, ("shared", "0.1"): -10.0, ("shared", "5"): 10.0}
    )


def test_environments_are_pooled_after_normalizing_each(tmp_path: Path) -> None:
    for seed in range(2):
        for arch, small, large in (("separate", 0.0 + seed, 500.0), ("shared", 3.0 + seed, 100.0 * seed)):
            fabricate(tmp_path / f"a{arch}{seed}", small, seed, arch__name=arch)
            fabricate(tmp_path / f"b{arch}{seed}", large, seed, arch__name=arch, env__id="Big-v0", total_steps=800)
    found = study(tmp_path, Question())
    pooled = {p.name: p for p in found.pooled}
    # Toy: 0, 1 | 3, 4 of 4. Big: 500, 500 | 0, 100 of 500. Steps differ between environments and make no factor.
    assert pooled["arch=separate"].mean.value == pytest.approx((0.0 + 0.25 + 1.0 + 1.0) / 4)
    assert pooled["arch=shared"].mean.value == pytest.approx((0.75 + 1.0 + 0.0 + 0.2) / 4)
    assert (pooled["arch=shared"].n, pooled["arch=shared"].iqm.value) == (4, pytest.approx((0.75 + 0.2) / 2))
    assert [c.cell.environment for c in found.comparisons] == ["Big-v0", "Toy-v0"]


def test_evaluations_count_only_if_every_run_has_one_of_its_final_policy(tmp_path: Path) -> None:
    fabricate(tmp_path / "a", 1.0, 0, evaluation=evaluated(11.0))
    fabricate(tmp_path / "b", 2.0, 1, evaluation=evaluated(12.0))
    assert study(tmp_path, Question()).scores[0].by_seed == {0: 11.0, 1: 12.0}
    fabricate(tmp_path / "c", 3.0, 2, evaluation=evaluated(13.0, step=200))
    assert study(tmp_path, Question()).scores[0].by_seed == {0: 1.0, 1: 2.0, 2: 3.0}
    asked = study(tmp_path, Question(metric="evaluation"))
    assert asked.scores[0].by_seed == {0: 11.0, 1: 12.0}
    assert [record.seed for record in asked.unscored] == [2]


def test_a_tag_as_metric(tmp_path: Path) -> None:
    fabricate(tmp_path / "a", 1.0, curve=(1.0, 5.0))
    assert study(tmp_path, Question(metric="charts/episode_return")).scores[0].by_seed == {0: 5.0}
    with pytest.raises(UserError, match=r"no such metric|has such a metric") as error:
        study(tmp_path, Question(metric="charts/episode_retrun"))
    assert "charts/episode_return" in str(error.value)


def test_the_area_as_metric(tmp_path: Path) -> None:
    """Both end at the same return; one is there sooner."""
    for seed in range(6):
        fabricate(tmp_path / f"slow{seed}", 3.0, seed, curve=(0.0, 0.0, 0.0, 4.0 + seed))
        fabricate(tmp_path / f"fast{seed}", 3.0, seed, curve=(0.0, 4.0, 4.0, 4.0 + seed), arch__name="shared")
    told = study(tmp_path, Question()).comparisons[0].sentence
    assert told == "On Toy-v0, arch=shared and arch=separate reach the same with each of 6 seeds."
    found = study(tmp_path, Question(metric="area"))
    assert found.scores[0].by_seed == {seed: 1.0 + seed / 4 for seed in range(6)}
    assert (
        found.comparisons[0].sentence
        == "On Toy-v0, arch=shared beats arch=separate by 2.00 [2.00, 2.00], P = 1.00, n = 6."
    )


def test_what_does_not_count_is_listed(tmp_path: Path) -> None:
    fabricate(tmp_path / "done", 1.0, 0)
    fabricate(tmp_path / "failed", None, 1, status="failed: no space\nat all")
    fabricate(tmp_path / "diverged", 9.0, 2, status="diverged")
    fabricate(tmp_path / "killed", None, 3, status="running")
    fabricate(tmp_path / "silent", None, 4)
    fabricate(tmp_path / "broken", 1.0, 5)
    (tmp_path / "broken" / "metrics.jsonl").write_text('{"step": 1, "charts/')
    fabricate(tmp_path / "again", 1.0, 0)
    told = {"runs": ["done", "failed", "one", "two", "three"], "arguments": ["-m"], "folder": "/"}
    (tmp_path / "sweep.json").write_text(json.dumps(told))
    found = study(tmp_path, Question())
    assert found.scores[0].by_seed == {0: 1.0}
    assert {(str(r.directory), r.status) for r in found.unfinished} == {
        ("failed", "failed"),
        ("diverged", "diverged"),
        ("killed", "killed"),
    }
    assert [str(r.directory) for r in found.unscored] == ["silent"]
    assert [str(path) for path in found.runs.unreadable] == ["broken"]
    assert [str(path) for path in found.grid.repeats] == ["done"]
    assert found.runs.n_unstarted == 3


def test_settings_that_nothing_reads_make_no_cells(tmp_path: Path) -> None:
    """Without clipping, a bound makes no difference; a choice brings settings along, which are no factors either."""
    fabricate(tmp_path / "a", 1.0, clip__name="none", clip__max_norm=0.1)
    fabricate(tmp_path / "b", 1.0, clip__name="none", clip__max_norm=5.0)
    fabricate(tmp_path / "c", 1.0, seed=0, clip__max_norm=0.1)
    fabricate(tmp_path / "d", 1.0, optim__name="dual", optim__trunk="both", clip__max_norm=0.1)
    found = study(tmp_path, Question())
    assert [cell.name for cell in found.grid] == [
        "optim=dual, clip=norm",
        "optim=single, clip=none",
        "optim=single, clip=norm",
    ]
    assert len(found.grid.repeats) == 1


def test_settings_that_some_runs_do_not_read_are_settings_in_common(tmp_path: Path) -> None:
    """With two optimizers, nothing reads the critic's weight, which the runs with one still have in common."""
    for layout in ("single", "dual"):
        fabricate(tmp_path / layout, 1.0, optim__name=layout, algo={"value_coef": 2.0, "n_steps": 5})
    found = study(tmp_path, Question())
    assert list(found.grid.factors) == ["optim"]
    (table,) = [table for table in tables(found) if table.name == "settings"]
    assert ("Toy-v0", "algo.value_coef", "2") in table.rows


def test_the_trunks_owner_where_there_is_none(tmp_path: Path) -> None:
    """One optimizer, and separate networks, have none: it is a factor only if it takes several values where it is."""
    for seed in range(2):
        for arch in ("separate", "shared"):
            fabricate(tmp_path / f"{arch}{seed}", 1.0, seed, arch__name=arch)
            fabricate(tmp_path / f"{arch}{seed}d", 2.0, seed, arch__name=arch, optim__name="dual", optim__trunk="both")
    found = study(tmp_path, Question(baseline="optim=single"))
    assert list(found.grid.factors) == ["arch", "optim"]
    for seed in range(2):
        settings = {"arch__name": "shared", "optim__name": "dual", "optim__trunk": "actor"}
        fabricate(tmp_path / f"{seed}a", 3.0, seed, **settings)
    found = study(tmp_path, Question(baseline="optim=single"))
    assert list(found.grid.factors) == ["arch", "optim", "optim.trunk"]
    assert [(c.cell.name, c.baseline.name) for c in found.comparisons] == [
        ("arch=separate, optim=dual", "arch=separate, optim=single"),
        ("arch=shared, optim=dual, optim.trunk=actor", "arch=shared, optim=single"),
        ("arch=shared, optim=dual, optim.trunk=both", "arch=shared, optim=single"),
    ]
    # The other way around, either owner could be meant, and is only compared if it is named.
    found = study(tmp_path, Question(baseline="optim=dual"))
    assert [c.cell.name for c in found.comparisons] == ["arch=separate, optim=single"]
    found = study(tmp_path, Question(baseline="optim=dual,optim.trunk=both"))
    assert [(c.cell.name, c.baseline.name) for c in found.comparisons if c.cell.levels["optim"] == "single"] == [
        ("arch=shared, optim=single", "arch=shared, optim=dual, optim.trunk=both"),
    ]


def test_a_level_that_does_not_exist_is_not_named(tmp_path: Path) -> None:
    fabricate(tmp_path / "a", 1.0, clip__name="none")
    fabricate(tmp_path / "b", 1.0, clip__max_norm=0.1)
    fabricate(tmp_path / "c", 1.0, clip__max_norm=5.0)
    found = study(tmp_path, Question())
    assert [cell.name for cell in found.grid] == [
        "clip=none",
        "clip=norm, clip.max_norm=0.1",
        "clip=norm, clip.max_norm=5",
    ]
    assert {e.level for e in found.effects} == {"none", "norm", "0.1", "5"}


@pytest.mark.parametrize(
    ("asked", "problem", "hint"),
    [
        ("arhc=shared", "Nothing called 'arhc' differs", "arch=shared"),
        ("arch=shraed", "No run has arch=shraed", "arch=shared"),
        ("arch", "No run has arch=", "arch=separate"),
    ],
)
def test_a_baseline_that_is_not_there(tmp_path: Path, asked: str, problem: str, hint: str) -> None:
    two_cells(tmp_path)
    with pytest.raises(UserError) as error:
        study(tmp_path, Question(baseline=asked))
    assert problem in str(error.value)
    assert hint in str(error.value)


def test_a_directory_without_runs(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run directory"):
        study(tmp_path, Question())


def test_seeds_without_a_partner_are_counted(tmp_path: Path) -> None:
    for seed in range(4):
        fabricate(tmp_path / f"a{seed}", float(seed), seed)
    for seed in range(1, 5):
        fabricate(tmp_path / f"b{seed}", float(seed), seed, arch__name="shared")
    (found,) = study(tmp_path, Question()).comparisons
    assert (found.n, found.is_paired, found.n_left_out) == (3, True, 2)
    assert found.difference.value == 0.0
    assert "reach the same with each of 3 seeds" in found.sentence


def test_equal_means_of_different_runs(tmp_path: Path) -> None:
    for seed in range(4):
        fabricate(tmp_path / f"a{seed}", float(seed), seed)
        fabricate(tmp_path / f"b{seed}", 3.0 - seed, seed, arch__name="shared")
    (found,) = study(tmp_path, Question()).comparisons
    assert "the means are equal" in found.sentence


def test_disjoint_seeds_are_compared_without_pairs(tmp_path: Path) -> None:
    for seed in range(4):
        fabricate(tmp_path / f"a{seed}", float(seed), seed)
        fabricate(tmp_path / f"b{seed}", 10.0 + seed, 100 + seed, arch__name="shared")
    (found,) = study(tmp_path, Question()).comparisons
    assert (found.n, found.is_paired, found.n_left_out) == (4, False, 0)
    assert found.difference.value == 10.0


def test_one_seed_tells_nothing(tmp_path: Path) -> None:
    fabricate(tmp_path / "a", 1.0)
    fabricate(tmp_path / "b", 5.0, arch__name="shared")
    found = study(tmp_path, Question())
    assert found.scores[0].iqm is not None
    assert found.scores[0].iqm.interval is None
    (comparison,) = found.comparisons
    assert comparison.sentence == (
        "On Toy-v0, one seed cannot tell arch=shared from arch=separate: at least 4 are needed (n = 1)."
    )


def test_unequal_steps_are_a_factor(tmp_path: Path) -> None:
    fabricate(tmp_path / "a", 1.0, total_steps=400)
    fabricate(tmp_path / "b", 1.0, total_steps=800)
    found = study(tmp_path, Question())
    assert [cell.name for cell in found.grid] == ["total_steps=400", "total_steps=800"]
    assert [float(curve.steps[-1]) for curve in found.curves] == [400.0, 800.0]


def test_curves_are_means_over_stretches(tmp_path: Path) -> None:
    """250 lines become 100 stretches; runs that logged at other steps meet on the same ones."""
    fabricate(tmp_path / "a", 1.0, 0, curve=[float(i) for i in range(250)], total_steps=1000)
    fabricate(tmp_path / "b", 1.0, 1, curve=[float(i) for i in range(200)], total_steps=1000)
    (curve,) = study(tmp_path, Question()).curves
    assert curve.values.shape == (2, 100)
    assert curve.steps[0] == 10.0
    np.testing.assert_allclose(curve.values[1], np.arange(200).reshape(100, 2).mean(1))
    # 2.5 lines for each stretch: steps 4, 8 | 12, 16, 20 | 24, 28 | ...
    np.testing.assert_allclose(curve.values[0][:4], [0.5, 3.0, 5.5, 8.0])


def both(found: Study) -> list[float]:
    return [float(np.mean(list(g.clip_share["optim_joint"].values()))) for g in found.gradients]


def test_what_clipping_did(tmp_path: Path) -> None:
    two_cells(tmp_path)
    found = study(tmp_path, Question())
    assert both(found) == [0.375, 0.375]
    norms = found.gradients[0].norms["optim_joint"]
    assert float(norms.before.values.mean()) == 2.0
    assert float(norms.after.values.mean()) == 0.5


def test_the_clip_share_is_that_of_each_optimizer(tmp_path: Path) -> None:
    fabricate(tmp_path / "a", 1.0)
    path = tmp_path / "a" / "metrics.jsonl"
    line = {"step": 400, "charts/episode_return": 1.0}
    for group, share in (("optim_actor", 0.25), ("optim_critic", 0.75)):
        line |= {f"grad_norm/{group}/{when}_clip": 1.0 for when in ("before", "after")}
        line[f"grad_norm/{group}/clip_fraction"] = share
    path.write_text(json.dumps(line) + "\n")
    found = study(tmp_path, Question())
    assert found.gradients[0].clip_share == {"optim_actor": {0: 0.25}, "optim_critic": {0: 0.75}}
    (table,) = (table for table in tables(found) if table.name == "gradients")
    assert [(row[2], row[-1]) for row in table.rows] == [("optim_actor", 0.25), ("optim_critic", 0.75)]


def test_every_command_is_told(tmp_path: Path) -> None:
    """Those of sweeps and of runs beside them; the report's own as it would be given in the folder where they began."""
    sweep = tmp_path / "outputs" / "sweeps" / "s"
    fabricate(sweep / "a", 1.0)
    told = {"runs": ["a"], "arguments": ["-m", "seed=range(1)"], "folder": str(tmp_path)}
    (sweep / "sweep.json").write_text(json.dumps(told))
    assert commands(study(sweep, Question(baseline=None, threshold=2.0))) == [
        "acexp -m 'seed=range(1)'",
        "acexp report outputs/sweeps/s --threshold 2.0",
    ]
    fabricate(tmp_path / "outputs" / "alone", 1.0, 1)
    assert commands(study(tmp_path / "outputs", Question())) == [
        "acexp -m 'seed=range(1)'",
        "acexp",
        "acexp report outputs",
    ]


def test_where_no_run_can_be_read(tmp_path: Path) -> None:
    fabricate(tmp_path / "a", 1.0)
    (tmp_path / "a" / "config.yaml").unlink()
    with pytest.raises(UserError, match="No run here can be read") as error:
        study(tmp_path, Question())
    assert "a: FileNotFoundError" in str(error.value)


def test_one_outlier_does_not_move_the_threshold(tmp_path: Path) -> None:
    """All begin at 0 and end at 100, but one begins at -7,000 and another ends at 9,000."""
    for seed in range(5):
        for norm in (0.1, 5.0):
            fabricate(tmp_path / f"{norm}{seed}", 1.0, seed, curve=(0.0, 100.0), clip__max_norm=norm)
    fabricate(tmp_path / "low", 1.0, 5, curve=(-7000.0, 100.0), clip__max_norm=0.1)
    fabricate(tmp_path / "high", 1.0, 5, curve=(0.0, 9000.0), clip__max_norm=5.0)
    assert study(tmp_path, Question()).thresholds == {"Toy-v0": 90.0}


def test_outliers_are_single_runs_and_never_experiments() -> None:
    usual = np.array([[0.0, 90.0], [5.0, 100.0], [-5.0, 95.0]])
    assert usual_range([usual, usual], 0.5) is None
    assert usual_range([np.vstack((usual, [[-9000.0, 80.0]])), usual], 0.5) == (-5.0, 100.0)
    assert usual_range([np.vstack((usual, [[0.0, 9000.0]]))], 0.5) == (-5.0, 100.0)
    assert usual_range([np.vstack((usual, [[0.0, 9000.0]]))], 200.0) is None
    # An experiment that is much better than all others stays, and so does one that is much worse.
    assert usual_range([usual, usual, usual, usual + 5000.0], 0.5) is None
    assert usual_range([usual, usual, usual, usual - 5000.0], 0.5) is None
    # One seed each: none is an outlier. All equal but one: there is no range to compare it with.
    assert usual_range([usual[:1], usual[1:2] * 1000.0], 0.5) is None
    assert usual_range([np.array([[1.0], [1.0], [9.0]])], 1.5) is None
    assert usual_range([], 0.5) is None


def test_several_folders_are_one_study(tmp_path: Path) -> None:
    for i, folder in enumerate(("one", "two", "three")):
        for seed in range(2 * i, 2 * i + 2):
            for arch in ("separate", "shared"):
                fabricate(tmp_path / folder / f"{arch}{seed}", 1.0 + seed, seed, arch__name=arch)
    found = study(tmp_path / "one", Question(), [tmp_path / "two", tmp_path / "one"])
    assert found.title == "one + two"
    assert [list(scores.by_seed) for scores in found.scores] == [[0, 1, 2, 3]] * 2
    assert str(found.runs.records[0].directory) == "one/separate0"
    assert commands(found)[-1] == "acexp report one two"
    # A folder within another one adds nothing, and no run twice.
    found = study(tmp_path, Question(), [tmp_path / "one"])
    assert [list(scores.by_seed) for scores in found.scores] == [[0, 1, 2, 3, 4, 5]] * 2
    assert found.grid.repeats == ()
    with pytest.raises(UserError, match="no run directory") as error:
        study(tmp_path / "one", Question(), [tmp_path / "four"])
    assert str(tmp_path / "four") in str(error.value)


def test_a_factor_that_one_side_lacks_is_said_to_be_missing(tmp_path: Path) -> None:
    """Rather than being called by a name that stands for every run."""
    fabricate(tmp_path / "a", 1.0, normalizer={"name": "none"})
    fabricate(tmp_path / "b", 2.0, normalizer={"name": "none", "window": 5})
    (found,) = study(tmp_path, Question()).comparisons
    assert "no normalizer.window" in found.sentence
