from __future__ import annotations

import torch

from acexp.core.seeding import environment_seeds, evaluation_stream, generator, streams


def test_seeds_0_to_99_share_no_environment_seed() -> None:
    seeds = [seed for run in range(100) for seed in environment_seeds(streams(run).environments, 16)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_more_environments_keep_the_seeds_of_the_first() -> None:
    assert environment_seeds(streams(3).environments, 16)[:4] == environment_seeds(streams(3).environments, 4)


def test_streams_of_one_run_and_of_different_runs_differ() -> None:
    draws = [tuple(torch.rand(4, generator=generator(stream)).tolist()) for run in range(20) for stream in streams(run)]
    assert len(set(draws)) == len(draws)


def test_the_same_seed_gives_the_same_numbers() -> None:
    a, b = (torch.rand(8, generator=generator(streams(7).actions)) for _ in range(2))
    assert torch.equal(a, b)


def test_what_was_chosen_is_played_again_on_other_seeds() -> None:
    for run in range(20):
        chosen_on, again = (environment_seeds(evaluation_stream(run, again=again), 64) for again in (False, True))
        assert chosen_on == environment_seeds(streams(run).evaluation, 64)
        assert not set(again) & {*chosen_on, *environment_seeds(streams(run).environments, 64)}
