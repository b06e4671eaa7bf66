"""Holds: what a warm is working with is nothing that a collect takes."""

from storectl_store.collecting.holds import Holds
from storectl_store.digest import EnvironmentId

ONE, TWO = EnvironmentId("1" * 32), EnvironmentId("2" * 32)


def test_what_two_hold_is_held_until_both_have_let_go() -> None:
    holds = Holds()
    first, second = holds.keep([ONE]), holds.keep([ONE, TWO])
    second.close()
    second.close()
    assert holds.held() == {ONE}
    first.close()
    assert holds.held() == frozenset()


def test_what_is_added_to_a_hold_that_is_closed_is_not_held() -> None:
    holds = Holds()
    hold = holds.keep([ONE])
    hold.close()
    hold.add([TWO])
    assert holds.held() == frozenset()


def test_the_collector_sees_what_is_held_while_nothing_can_become_held() -> None:
    holds = Holds()
    with holds.keep([ONE]), holds.deciding() as deciding:
        assert deciding.is_held(ONE)
        assert not deciding.is_held(TWO)
