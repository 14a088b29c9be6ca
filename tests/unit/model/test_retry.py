"""Exponential backoff with full jitter (contract section 1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everyitem.model.retry import Jitter, RetryPolicy


@pytest.mark.parametrize(
    ("retry", "seconds"), [(1, 0.2), (2, 0.4), (3, 0.8), (8, 25.6), (9, 30.0), (10_000, 30.0)]
)
def test_the_delay_doubles_up_to_its_maximum(retry, seconds):
    """min(maxDelay, initialDelay * multiplier^(k-1)) with the contract's defaults."""
    assert RetryPolicy().backoff(retry) == pytest.approx(seconds)


@given(
    retry=st.integers(1, 10**6),
    initial=st.floats(0, 1e6),
    multiplier=st.floats(1, 1e6),
    longest=st.floats(0, 1e6),
    chance=st.floats(0, 1),
)
def test_the_delay_is_never_negative_nor_above_the_maximum(retry, initial, multiplier, longest, chance):
    """Whatever the policy and the retry, the delay is a number within bounds."""
    policy = RetryPolicy(initial_delay=initial, multiplier=multiplier, max_delay=longest)
    assert 0 <= policy.delay(retry, chance=chance) <= policy.backoff(retry) <= longest


def test_full_jitter_takes_any_share_and_none_takes_nothing():
    """Chance scales the delay unless jitter is none."""
    assert RetryPolicy().delay(1, chance=0.5) == pytest.approx(0.1)
    assert RetryPolicy().delay(1, chance=0.0) == 0
    assert RetryPolicy(jitter=Jitter.NONE).delay(1, chance=0.0) == pytest.approx(0.2)
