"""Holds: the collector decides under the mutex that grants them, and remembers what was held since it began."""

from storectl_store.collecting.holds import Held, Holds
from storectl_store.digest import EnvironmentId, digest_of_hex

ENVIRONMENT = EnvironmentId("e" * 32)
ENTRY = digest_of_hex("d" * 64)


def is_held(holds: Holds, what: Held) -> bool:
    with holds.deciding() as deciding:
        return deciding.is_held(what)


def test_what_somebody_works_with_is_held_until_the_last_one_lets_go() -> None:
    holds = Holds()
    first, second = holds.keep([ENVIRONMENT, ENTRY]), holds.keep([ENVIRONMENT])
    first.close()
    assert is_held(holds, ENVIRONMENT)
    assert not is_held(holds, ENTRY)
    second.close()
    assert not is_held(holds, ENVIRONMENT)


def test_a_collect_remembers_what_was_let_go_of_after_it_read_the_roots() -> None:
    holds = Holds()
    early = holds.keep([ENVIRONMENT])
    with holds.remembering():
        early.close()
        with holds.keep() as late:
            late.add([ENTRY])
        assert is_held(holds, ENVIRONMENT)
        assert is_held(holds, ENTRY)
    assert not is_held(holds, ENVIRONMENT)
    assert not is_held(holds, ENTRY)
    assert holds.held() == frozenset()


def test_each_of_two_collects_remembers_until_its_own_end() -> None:
    holds = Holds()
    with holds.remembering():
        with holds.remembering():
            holds.keep([ENTRY]).close()
        assert is_held(holds, ENTRY)
    assert not is_held(holds, ENTRY)


def test_a_collect_does_not_remember_what_was_let_go_of_before() -> None:
    holds = Holds()
    holds.keep([ENTRY]).close()
    with holds.remembering():
        assert not is_held(holds, ENTRY)
