"""The pauses of a sweep, which works in a thread: short ones now and then, long ones while something is being made."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from storectl_daemon.collecting.pace import Pace

_POLL_S = 0.05


@dataclass(slots=True, kw_only=True)
class Pauses:
    """Called between two things: it returns when the next may be taken away, or false if none may any more.

    ``busy`` tells whether something is being made. It is waited for at most ``patience`` seconds in all, None for as
    long as it takes.
    """

    busy: Callable[[], bool]
    stopping: Callable[[], bool]
    patience: float | None = None
    sleep: Callable[[float], None] = time.sleep
    _pace: Pace = field(default_factory=Pace, init=False)
    _waited: float = field(default=0.0, init=False)

    def __call__(self) -> bool:
        """Whether the next thing may be taken away. Called in the thread of the sweep."""
        self._pace()
        while self.busy() and not self.stopping() and (self.patience is None or self._waited < self.patience):
            self.sleep(_POLL_S)
            self._waited += _POLL_S
        return not self.stopping()
