"""The sentence that answers and the table of experiments, from runs whose numbers were thought up."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from acexp.report import Question, answer, ranking, study
from tests.report.fabricate import evaluated, fabricate

INTERVAL = r"\[[\d.,]+, [\d.,]+\]"


def told(directory: Path, question: Question | None = None) -> str:
    return answer(study(directory, question or Question()))


def levels(directory: Path, scores: dict[float, float], n_seeds: int, spread: float, **settings: str) -> None:
    """One experiment for each bound; seeds lie around the score evenly, in an order of their own in each."""
    for i, (norm, score) in enumerate(scores.items()):
        for seed in range(n_seeds):
            offset = spread * ((seed + 2 * i) % n_seeds - (n_seeds - 1) / 2)
            name = f"{'-'.join(settings.values())}{norm}-{seed}"
            fabricate(directory / name.replace("/", "_"), score + offset, seed, clip__max_norm=norm, **settings)


def test_some_differences_are_certain(tmp_path: Path) -> None:
    levels(tmp_path, {0.1: 10.0, 0.5: 11.0, 5.0: 50.0}, 10, 1.0)
    assert re.fullmatch(
        rf"On Toy-v0, best: clip\.max_norm=5, 50\.0 {INTERVAL} \(n = 10\); 1 of 2 differences is certain; "
        r"about (\d+) seeds would probably settle the rest\.",
        told(tmp_path),
    )


def test_every_difference_is_certain(tmp_path: Path) -> None:
    levels(tmp_path, {0.1: 10.0, 5.0: 50.0}, 8, 0.5)
    assert re.fullmatch(
        rf"On Toy-v0, best: clip\.max_norm=5, 50\.0 {INTERVAL} \(n = 8\); the difference is certain\.", told(tmp_path)
    )


def test_nothing_is_certain(tmp_path: Path) -> None:
    """So nothing is called best."""
    levels(tmp_path, {0.1: 10.0, 0.5: 11.0, 5.0: 12.0}, 3, 3.0)
    found = told(tmp_path)
    assert found.startswith("On Toy-v0, highest mean: clip.max_norm=5, 12.0 ")
    end = r"; none of 2 differences is certain yet; about \d+ seeds would probably settle all of them\.$"
    assert re.search(end, found)
    assert "best" not in found


def test_a_difference_that_hardly_is_one_needs_no_absurd_number_of_seeds(tmp_path: Path) -> None:
    levels(tmp_path, {0.1: 10.0, 5.0: 10.001}, 4, 3.0)
    assert told(tmp_path).endswith("not certain yet; more than 1,000 seeds would be needed to settle it.")
    assert ranking(study(tmp_path, Question())).rows[0][-1] == "no, over 1,000 seeds"


def test_one_seed(tmp_path: Path) -> None:
    levels(tmp_path, {0.1: 10.0, 5.0: 50.0}, 1, 0.0)
    assert told(tmp_path) == (
        "On Toy-v0, highest mean: clip.max_norm=5, 50.0 (n = 1); "
        "one seed cannot tell a difference, at least 4 are needed."
    )


def test_two_seeds(tmp_path: Path) -> None:
    levels(tmp_path, {0.1: 10.0, 0.5: 30.0, 5.0: 50.0}, 2, 1.0)
    assert told(tmp_path) == (
        "On Toy-v0, highest mean: clip.max_norm=5, 50.0 (n = 2); "
        "two seeds cannot tell a difference, at least 5 are needed."
    )


def test_equal_means_of_runs_that_vary_are_not_the_same(tmp_path: Path) -> None:
    levels(tmp_path, {0.1: 10.0, 5.0: 10.0}, 8, 1.0)
    assert [row[-1] for row in ranking(study(tmp_path, Question())).rows] == [None, "no"]


def test_equal_means_are_not_said_to_be_settled_by_more_seeds(tmp_path: Path) -> None:
    """Neither are cells of which one has a single seed."""
    levels(tmp_path, {0.1: 10.0, 0.5: 10.0, 5.0: 11.0}, 10, 1.0)
    fabricate(tmp_path / "one", 50.0, 0, clip__max_norm=50.0)
    end = r"; none of 3 differences is certain yet; about \d+ seeds would probably settle 1 of them\.$"
    assert re.search(end, told(tmp_path))


def test_one_cell(tmp_path: Path) -> None:
    levels(tmp_path, {0.1: 10.0}, 3, 1.0)
    found = study(tmp_path, Question())
    assert re.fullmatch(
        rf"On Toy-v0, mean: 10\.0 {INTERVAL} \(n = 3\); no setting differs between the runs, "
        r"so that nothing is compared\.",
        answer(found),
    )
    assert ranking(found).rows[0][0] == "all runs"


def test_all_are_equal(tmp_path: Path) -> None:
    levels(tmp_path, {0.1: 10.0, 0.5: 10.0, 5.0: 10.0}, 6, 0.0)
    found = study(tmp_path, Question())
    assert answer(found) == "On Toy-v0, all 3 experiments have the same mean, 10.0."
    assert [row[-1] for row in ranking(found).rows] == [None, "the same", "the same"]


def test_several_are_best(tmp_path: Path) -> None:
    """Where two share the highest mean, both are named."""
    levels(tmp_path, {0.1: 1.0, 0.5: 10.0, 5.0: 10.0}, 8, 0.0)
    assert told(tmp_path).startswith("On Toy-v0, best: clip.max_norm=0.5 and clip.max_norm=5, 10.0 ")


def test_several_environments(tmp_path: Path) -> None:
    levels(tmp_path, {0.1: 10.0, 5.0: 50.0}, 8, 0.5, env__id="B-v0")
    levels(tmp_path, {0.1: 3.0, 5.0: 2.0}, 8, 1.0, env__id="A-v0")
    found = study(tmp_path, Question())
    assert re.fullmatch(
        rf"On A-v0, highest mean: clip\.max_norm=0\.1, 3\.00 \[.*\] \(n = 8\); "
        rf"on B-v0, best: clip\.max_norm=5, 50\.0 {INTERVAL} \(n = 8\); 1 of 2 differences is certain; "
        r"about \d+ seeds would probably settle the rest\.",
        answer(found),
    )
    assert [row[:2] for row in ranking(found).rows] == [
        ("A-v0", "clip.max_norm=0.1"),
        ("A-v0", "clip.max_norm=5"),
        ("B-v0", "clip.max_norm=5"),
        ("B-v0", "clip.max_norm=0.1"),
    ]
    for letter in "CDE":
        levels(tmp_path, {0.1: 3.0, 5.0: 2.0}, 2, 1.0, env__id=f"{letter}-v0")
    assert "; 2 more environments are in the table; " in told(tmp_path)


def test_a_tag_has_no_best(tmp_path: Path) -> None:
    levels(tmp_path, {0.1: 10.0, 5.0: 50.0}, 8, 0.5)
    for path in tmp_path.glob("5.0-*/metrics.jsonl"):
        path.write_text('{"step": 400, "charts/episode_return": 9.0, "loss/actor": 2.0}\n')
    for path in tmp_path.glob("0.1-*/metrics.jsonl"):
        path.write_text('{"step": 400, "charts/episode_return": 9.0, "loss/actor": 1.0}\n')
    assert told(tmp_path, Question(metric="loss/actor")).startswith("On Toy-v0, highest mean: clip.max_norm=5, 2.00 ")


def test_without_any_score(tmp_path: Path) -> None:
    fabricate(tmp_path / "a", None, 0, status="failed")
    fabricate(tmp_path / "b", None, 0, status="interrupted", arch__name="shared")
    assert told(tmp_path) == "No run has a score yet (0 done, 1 failed, 1 interrupted)."


def test_only_one_cell_has_a_score(tmp_path: Path) -> None:
    fabricate(tmp_path / "a", None, 0, status="failed")
    fabricate(tmp_path / "b", 3.0, 0, arch__name="shared")
    assert told(tmp_path) == "On Toy-v0, only arch=shared has a score: 3.00 (n = 1)."


def test_the_table_has_the_best_first_and_says_what_is_certain(tmp_path: Path) -> None:
    levels(tmp_path, {0.1: 10.0, 0.5: 11.0, 5.0: 50.0}, 10, 1.0)
    table = ranking(study(tmp_path, Question(baseline="clip.max_norm=0.1")))
    assert table.columns == ("experiment", "mean", "n", "difference", "certain")
    assert [row[0] for row in table.rows] == ["clip.max_norm=5", "clip.max_norm=0.5", "clip.max_norm=0.1"]
    assert [row[3] for row in table.rows][-1] == "baseline"
    assert [row[-1] for row in table.rows][0::2] == ["yes", None]
    assert "from the baseline: clip.max_norm=0.1" in table.note


@pytest.mark.parametrize("kind", ["none", "in training", "some at the end"])
def test_why_the_score_is_not_the_evaluation(tmp_path: Path, kind: str) -> None:
    for seed in range(2):
        final = evaluated(5.0) if kind == "some at the end" and seed == 0 else None
        fabricate(tmp_path / str(seed), 1.0, seed, evaluation=final)
        if kind == "in training":
            path = tmp_path / str(seed) / "metrics.jsonl"
            path.write_text(path.read_text() + '{"step": 400, "eval/return_mean": 9.0}\n')
    note = ranking(study(tmp_path, Question())).note
    assert ("acexp eval" in note) == (kind != "none")
    assert ("--metric eval/return_mean" in note) == (kind == "in training")
    assert ("only 1 of 2 runs" in note) == (kind == "some at the end")
    assert "acexp eval" not in ranking(study(tmp_path, Question(metric="training"))).note
