"""Leases: what keeps an environment while a program runs in it is that the program has a file of it open.

    <environment>/pyvenv.cfg    open for reading in the program, and in what it forks, as long as they live

The collector takes a write lease on that file (``storectl_store.collecting.leases``). The kernel grants it to nobody
while any process has the file open, so there is nothing to register and nothing to clean up, and no daemon need live.

Who runs a program opens the file before it looks whether the environment is there: only then it stays there. The
launcher has it at ``GIVEN``, and says so to the program in the variable ``STORECTL_LEASE``, as a decimal number. The
shim takes that variable away. If the descriptor is the file, it keeps it, close-on-exec from then on; if not, the shim
opens the file at the first free number of ``NUMBERS``, so that what a program opens first is still 3. A program that
is no Python keeps what the launcher had opened, and so do its children.

The time of the last access of the file is the last use of the environment. CPython reads the file at its start.
Whoever takes a lease in another way reads a byte of it.
"""

from __future__ import annotations

import os

from storectl_shim._storectl import LEASED, NUMBERS, open_lease

TYPE_CHECKING = False  # importing typing takes longer than all of this
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeVar

    Made = TypeVar("Made")

__all__ = ["GIVEN", "LEASED", "NUMBERS", "VARIABLE", "given_to", "held", "take_lease"]

VARIABLE = "STORECTL_LEASE"
GIVEN = 9
"""The number of the launcher's descriptor: a shell's redirections have one digit."""

TRIES = 3
"""So often an environment is asked for that is gone each time that its lease is taken: collected in between."""

_taken: dict[str, int] = {}
"""What ``take_lease`` has opened in this process: the descriptor, by the environment."""


def take_lease(environment: str) -> int:
    """Keep the environment in this absolute folder as long as this process lives. Returns the descriptor.

    It is closed on exec, unless ``given_to`` has been called. Raises FileNotFoundError if there is no such environment.
    If the collector is deciding on it, this waits until it has done so.
    """
    if environment not in _taken:
        descriptor = open_lease(os.path.join(environment, LEASED))
        os.read(descriptor, 1)
        _taken[environment] = descriptor
    return _taken[environment]


def held(make: Callable[[], Made], path_of: Callable[[Made], str]) -> Made:
    """What ``make`` returns, with the lease of its environment. It is called again if that has gone meanwhile.

    If there are no leases to be had, for want of descriptors perhaps, the program is left to take one itself.
    """
    for _ in range(TRIES):
        made = make()
        try:
            take_lease(path_of(made))
        except FileNotFoundError:
            continue
        except OSError:
            pass
        break
    return made


def given_to(environment: str) -> Mapping[str, str]:
    """The variable for a program that this process becomes, which keeps the lease that was taken; none if none was."""
    descriptor = _taken.get(environment)
    if descriptor is None:
        return {}
    os.set_inheritable(descriptor, True)
    return {VARIABLE: str(descriptor)}
