"""What `storectl doctor` says of collecting: what could be freed, and what the daemon does by itself."""

from collections.abc import Iterator, Mapping
from typing import Any

from storectl.commands.output import count_text, size_text
from storectl.daemon.client import DaemonClient

Json = Mapping[str, Any]


def collect_words(daemon: DaemonClient) -> Iterator[str]:
    """Sentences for a person. ClientError if nothing could be collected, with the reason."""
    state = daemon.collects()
    if state is None:
        return
    planned = next(event for event in daemon.collect(dry_run=True) if event["event"] == "planned")
    if planned["environments"] or planned["entries"]:
        yield f"{_taken(planned)} could go; `storectl store collect --dry-run` shows them"
    else:
        yield "everything in the store is kept for a reason"
    yield _by_itself(state)
    if not state["leases"]:
        yield "leases do not work on its file system: the daemon takes no environments by itself"


def _by_itself(state: Json) -> str:
    """What happens without anybody asking for it."""
    reported = state["reported"]
    if not state["automatic"]:
        return "the daemon takes nothing by itself: automatic is off"
    if reported is None:
        return "the daemon takes nothing by itself yet: the first time it only reports what it would"
    if state["last"] is None or state["last"]["at"] <= reported["at"]:
        return f"the daemon would have taken {_taken(reported)} by itself; from the next time on it does"
    return f"last taken: {_taken(state['last'])}"


def _taken(what: Json) -> str:
    environments = count_text(what["environments"], "environment")
    entries = count_text(what["entries"], "entry", "entries")
    return f"{environments} and {entries} ({size_text(what['bytes'])})"
