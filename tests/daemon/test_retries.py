"""Waiting between tries: as long as the server asks, within a cap, else longer each time with jitter."""

import email.utils
import time

import pytest

from storectl_daemon.network.exchange import FetchLimits, pause_after, retry_after_of


def test_the_pause_doubles_with_jitter() -> None:
    limits = FetchLimits(pause=1.0)
    first = [pause_after(1, None, limits) for _ in range(50)]
    third = [pause_after(3, None, limits) for _ in range(50)]
    assert 0.5 <= min(first) <= max(first) <= 1.5
    assert 2.0 <= min(third) <= max(third) <= 6.0
    assert len(set(first)) > 1


@pytest.mark.parametrize(("asked", "waited"), [(3.0, 3.0), (0.0, 0.0), (-5.0, 0.0), (86400.0, 30.0)])
def test_the_wait_that_a_server_asks_for_is_capped(asked: float, waited: float) -> None:
    assert pause_after(1, asked, FetchLimits()) == waited


def test_retry_after_is_a_number_or_a_date() -> None:
    assert retry_after_of("7") == 7.0
    later = retry_after_of(email.utils.formatdate(time.time() + 100, usegmt=True))
    assert later is not None
    assert 50 < later < 150
    for nonsense in (None, "", "soon", "٣", "1e3", "-1"):
        assert retry_after_of(nonsense) is None
