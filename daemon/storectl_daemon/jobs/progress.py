"""How far a warm is, phase by phase, reported at most twenty times a second."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from storectl_daemon.models import Phase, ProgressEvent, WarmEvent, WarningEvent
from storectl_store.selection.pin import Pin

_INTERVAL = 0.05


@dataclass(slots=True, kw_only=True)
class _Count:
    total: int
    bytes_total: int
    done: int = 0
    bytes_done: int = 0
    told_at: float = float("-inf")


class Progress:
    """Counts of one warm. Call it on the event loop; ``tell`` gets the events."""

    def __init__(self, tell: Callable[[WarmEvent], None], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._tell = tell
        self._clock = clock
        self._counts: dict[Phase, _Count] = {}
        self._sizes: dict[tuple[Phase, str], int] = {}

    def begin(self, phase: Phase, total: int, *, bytes_total: int = 0) -> None:
        """Begin a phase with this many things to do. If there are none, nothing is reported."""
        self._counts[phase] = _Count(total=total, bytes_total=bytes_total)
        if total:
            self._report(phase, "", always=True)

    def more(self, phase: Phase, count: int, *, bytes_total: int = 0) -> None:
        """Add this many things to a phase, which begins with the first of them."""
        if phase not in self._counts:
            self.begin(phase, count, bytes_total=bytes_total)
        elif count:
            self._counts[phase].total += count
            self._counts[phase].bytes_total += bytes_total
            self._report(phase, "", always=True)

    def step(self, phase: Phase, current: str) -> None:
        """One more thing of the phase is done. It is not counted if the phase was not begun."""
        count = self._counts.get(phase)
        if count is None or count.done >= count.total:
            return
        count.done += 1
        self._report(phase, current, always=count.done == count.total)

    def warn(self, message: str) -> None:
        """Report a warning."""
        self._tell(WarningEvent(message=message))

    def fetching(self, pin: Pin, received: int) -> None:
        """Report how many bytes of the pin's wheel are here. The number falls if its download begins anew."""
        self._advance("fetch", pin.wheel.digest, pin.name, received)

    def fetched(self, pin: Pin) -> None:
        """Report that the pin's wheel is here."""
        self.step("fetch", pin.name)

    def compiling(self, name: str, size: int) -> None:
        """Report how many bytes of this entry's source have been compiled."""
        self._advance("compile", name, name, size)

    def _advance(self, phase: Phase, key: str, current: str, size: int) -> None:
        """Note that ``size`` bytes of one thing are done by now."""
        count = self._counts.get(phase)
        if count is not None:
            count.bytes_done += size - self._sizes.get((phase, key), 0)
            self._sizes[phase, key] = size
            self._report(phase, current, always=False)

    def building(self, name: str) -> None:
        """Report that one more wheel is being built. Nothing could count it before. Building uses the network."""
        self.warn(f"building {name} from source, in isolation: its build requirements come from the index")
        count = self._counts.setdefault("build", _Count(total=0, bytes_total=0))
        count.total += 1
        self._report("build", name, always=True)

    def built(self, name: str) -> None:
        """Report that the wheel has been built."""
        self.step("build", name)

    def unpacked(self, pin: Pin) -> None:
        """Report that the pin's entry is in the store."""
        self.step("unpack", pin.name)

    def _report(self, phase: Phase, current: str, *, always: bool) -> None:
        count, now = self._counts[phase], self._clock()
        if not always and now - count.told_at < _INTERVAL:
            return
        count.told_at = now
        self._tell(
            ProgressEvent(
                phase=phase,
                done=count.done,
                total=count.total,
                bytes_done=count.bytes_done,
                bytes_total=count.bytes_total,
                current=current,
            )
        )
