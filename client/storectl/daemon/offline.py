"""What is done with a store without its daemon, by an administrator: count it, collect it.

The code is the daemon's, and runs in this process. No other module but ``foreground`` imports the daemon.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from storectl.daemon.wire import decoded
from storectl.errors import DaemonProblemError

Json = Mapping[str, Any]

KEPT_GENERATIONS = 10
"""So many environments of each project stay, as in a store of one's own."""


def count(store: str, by: str, *, exact: bool) -> Json:
    """What the store in this folder takes up. Raises DaemonProblemError if it cannot be counted."""
    with _problems():
        from storectl_daemon.offline.usage import count  # noqa: PLC0415 - only such a command needs the daemon's code

        answer: Json = decoded(json.loads(count(Path(store), by, exact=exact).json_text()))  # type: ignore[arg-type]
        return {name: value for name, value in answer.items() if name != "event"}


def collect(
    store: str,
    *,
    dry_run: bool,
    keep_days: float,
    keep_generations: int | None,
    max_size: int | None,
    without_leases: bool,
) -> Iterator[Json]:
    """Collect the store in this folder; the events are the daemon's. Raises DaemonProblemError if it fails."""
    with _problems():
        from storectl_daemon.offline.collect import Order, collect  # noqa: PLC0415 - as above
        from storectl_daemon.serving.api.collecting_answers import event_of  # noqa: PLC0415 - as above

        order = Order(
            keep_days=keep_days,
            keep_generations=KEPT_GENERATIONS if keep_generations is None else keep_generations,
            max_size=max_size,
            dry_run=dry_run,
            without_leases=without_leases,
        )
        for told in collect(Path(store).absolute(), order):
            yield decoded(json.loads(event_of(told).json_text()))


@contextmanager
def _problems() -> Iterator[None]:
    """Raise what the daemon's code raises as this command's errors."""
    from storectl_store.errors import ProblemError  # noqa: PLC0415 - as above

    try:
        yield
    except ProblemError as error:
        raise DaemonProblemError(error.message, code=error.code, hint=error.hint) from error
