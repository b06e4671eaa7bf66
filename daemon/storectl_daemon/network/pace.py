"""Pace: whether a body still arrives fast enough to wait for it."""

from collections.abc import Callable

from storectl_daemon.network.limits import FetchLimits


class Pace:
    """Counts bytes in windows of ``limits.floor_window`` seconds. ``clock`` is monotonic, in seconds.

    If a body stops altogether, the read timeout notices that, not this class.
    """

    def __init__(self, limits: FetchLimits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._window_start = clock()
        self._window_bytes = 0

    def is_too_slow(self, received: int) -> bool:
        """Count these bytes. Returns True if the window that they complete had less than ``limits.floor``."""
        self._window_bytes += received
        elapsed = self._clock() - self._window_start
        if elapsed < self._limits.floor_window:
            return False
        too_few = self._window_bytes < self._limits.floor * elapsed
        self._window_start += elapsed
        self._window_bytes = 0
        return too_few
