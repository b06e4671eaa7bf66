"""Pace: whether a body still comes fast enough to be waited for."""

from collections.abc import Callable

from storectl_daemon.network.limits import FetchLimits


class Pace:
    """Counts bytes in windows of ``limits.floor_window`` seconds. ``clock`` is monotonic, in seconds.

    A body that stops altogether is not seen here, but by the read timeout.
    """

    def __init__(self, limits: FetchLimits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._window_start = clock()
        self._window_bytes = 0

    def is_too_slow(self, received: int) -> bool:
        """Count these bytes; True where the window that they complete had too few."""
        self._window_bytes += received
        elapsed = self._clock() - self._window_start
        if elapsed < self._limits.floor_window:
            return False
        too_few = self._window_bytes < self._limits.floor * elapsed
        self._window_start += elapsed
        self._window_bytes = 0
        return too_few
