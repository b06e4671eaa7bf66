"""The limits of the network: how long it waits, and how much it accepts, in one value."""

from dataclasses import dataclass

_GIB = 1 << 30
_MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchLimits:
    """Times are in seconds, sizes in bytes.

    ``deadline`` bounds one wheel with all its tries, ``page_deadline`` one page. A body that brings less than ``floor``
    bytes a second over ``floor_window``, or nothing for ``read_timeout``, counts as a broken connection. ``pause`` is
    the first wait between tries; it doubles, with jitter. ``concurrency`` bounds downloads, ``page_concurrency`` pages;
    they share ``connections``.
    """

    concurrency: int = 6
    page_concurrency: int = 6
    connections: int = 8
    redirects: int = 5
    tries: int = 3
    pause: float = 0.5
    retry_after_cap: float = 30.0
    connect_timeout: float = 10.0
    read_timeout: float = 30.0
    deadline: float = 3600.0
    page_deadline: float = 120.0
    floor: float = 1024.0
    floor_window: float = 30.0
    largest_wheel: int = 16 * _GIB
    largest_page: int = 64 * _MIB
