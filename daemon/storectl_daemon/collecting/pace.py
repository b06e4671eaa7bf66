"""The pace of long work in a thread: it rests now and then, so that requests are answered as ever."""

import time

WORK_S = 0.02
"""How long the work goes on before it rests, in seconds."""

REST_S = 0.005


class Pace:
    """To be called between small pieces of work."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    def __call__(self) -> None:
        """Rest if the work has gone on for ``WORK_S``."""
        if time.monotonic() - self._since >= WORK_S:
            time.sleep(REST_S)
            self._since = time.monotonic()
