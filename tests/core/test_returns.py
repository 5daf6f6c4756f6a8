from __future__ import annotations

import pytest
import torch

from acexp.core.returns import discounted_returns, generalized_advantages, normalized


def column(*values: float, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """One member, one environment: [T, 1, 1]."""
    return torch.tensor(values, dtype=dtype).view(-1, 1, 1)


def flags(*values: int) -> torch.Tensor:
    return column(*values, dtype=torch.bool)


def gae(
    rewards: torch.Tensor,
    values: torch.Tensor,
    terminated: torch.Tensor,
    truncated: torch.Tensor,
    gamma: float,
    lam: float,
) -> list[float]:
    advantages = generalized_advantages(
        rewards, values, terminated, truncated, torch.tensor([gamma]), torch.tensor([lam])
    )
    return advantages.flatten().tolist()


def test_constant_rewards_without_a_critic_sum_up() -> None:
    # V = 0, gamma = lambda = 1: the advantage is the sum of what is left, 3, 2, 1.
    assert gae(column(1, 1, 1), column(0, 0, 0, 0), flags(0, 0, 0), flags(0, 0, 0), 1.0, 1.0) == [3.0, 2.0, 1.0]


def test_lambda_one_is_the_n_step_return_minus_the_value() -> None:
    # gamma = 1/2: R_1 = 2 + V_2 / 2 = 2 + 4 = 6, R_0 = 1 + R_1 / 2 = 4; A = R - V = (4 - 3, 6 - 5).
    assert gae(column(1, 2), column(3, 5, 8), flags(0, 0), flags(0, 0), 0.5, 1.0) == [1.0, 1.0]


def test_lambda_zero_is_the_td_error() -> None:
    # delta = (1 + 5/2 - 3, 2 + 8/2 - 5)
    assert gae(column(1, 2), column(3, 5, 8), flags(0, 0), flags(0, 0), 0.5, 0.0) == [0.5, 1.0]


def test_lambda_in_between_by_hand() -> None:
    # delta as above; A_1 = 1, A_0 = 0.5 + 0.5 * 0.5 * 1
    assert gae(column(1, 2), column(3, 5, 8), flags(0, 0), flags(0, 0), 0.5, 0.5) == [0.75, 1.0]


def test_termination_neither_bootstraps_nor_reaches_over() -> None:
    # Step 0 terminates: A_0 = 1 - 3. Step 1 is the reset slot (masked elsewhere); step 2: 2 + 8/2 - 5 = 1.
    advantages = gae(column(1, 0, 2), column(3, 7, 5, 8), flags(1, 0, 0), flags(0, 0, 0), 0.5, 1.0)
    assert advantages[0] == -2.0
    assert advantages[2] == 1.0


def test_truncation_bootstraps_from_the_final_observation_and_stops() -> None:
    # Step 0 hits the time limit: V(final) = 7 counts, nothing after does: A_0 = 1 + 7/2 - 3.
    advantages = gae(column(1, 0, 2), column(3, 7, 5, 8), flags(0, 0, 0), flags(1, 0, 0), 0.5, 1.0)
    assert advantages[0] == 1.5
    assert advantages[2] == 1.0


def test_terminated_wins_where_both_are_set() -> None:
    assert gae(column(1), column(3, 7), flags(1), flags(1), 0.5, 1.0) == [-2.0]


def test_against_the_sum_written_out_for_many_members_and_environments() -> None:
    """The recursion equals the definition, a double loop over later errors, with random ends."""
    T, M, N = 7, 3, 4  # noqa: N806
    generator = torch.Generator().manual_seed(1)
    rewards, values = torch.randn(T, M, N, generator=generator), torch.randn(T + 1, M, N, generator=generator)
    terminated = torch.rand(T, M, N, generator=generator) < 0.15
    truncated = torch.rand(T, M, N, generator=generator) < 0.15
    gamma, lam = torch.tensor([0.9, 0.99, 1.0]), torch.tensor([0.8, 0.95, 1.0])
    result = generalized_advantages(rewards, values, terminated, truncated, gamma, lam)

    for m in range(M):
        for n in range(N):
            for t in range(T):
                expected, weight = 0.0, 1.0
                for k in range(t, T):
                    alive = 0.0 if terminated[k, m, n] else 1.0
                    delta = rewards[k, m, n] + gamma[m] * alive * values[k + 1, m, n] - values[k, m, n]
                    expected += weight * float(delta)
                    if terminated[k, m, n] or truncated[k, m, n]:
                        break
                    weight *= float(gamma[m] * lam[m])
                assert float(result[t, m, n]) == pytest.approx(expected, abs=1e-5)


def test_discounted_returns_start_anew_after_an_end() -> None:
    # gamma = 1/2 from R = 4: 1 + 2, then 1 + 1.5, which ends; then 1, and 1 + 0.5 is carried on.
    sums, carried = discounted_returns(column(1, 1, 1), flags(0, 1, 0), torch.tensor([0.5]), torch.tensor([[4.0]]))
    assert sums.flatten().tolist() == [3.0, 2.5, 1.0]
    assert carried.tolist() == [[1.0]]


def test_normalized_advantages_ignore_invalid_slots() -> None:
    # Valid: 1 and 3: mean 2, population deviation 1.
    result = normalized(torch.tensor([[1.0, 99.0, 3.0]]), torch.tensor([[0.5, 0.0, 0.5]]))
    assert result[:, ::2].tolist() == [[pytest.approx(-1.0), pytest.approx(1.0)]]
