"""The result of a verification of the store, gathered from the daemon's events."""

from collections.abc import Iterator, Mapping
from typing import Any

from storectl.commands.output import count_text

_FINDING = ("kind", "name", "version", "prefix", "path", "what")


class Report:
    """``entries`` counts the entries that were verified; the lists hold the events that matter, in order."""

    def __init__(self) -> None:
        self.entries = 0
        self.findings: list[dict[str, Any]] = []
        self.mended: list[dict[str, Any]] = []
        self.left: list[dict[str, Any]] = []

    def note(self, event: Mapping[str, Any]) -> bool:
        """Add one event; return whether it says that another entry was verified."""
        kind = event.get("event")
        if kind == "finding":
            self.findings.append({key: event[key] for key in _FINDING})
        elif kind == "mended":
            self.mended.append({key: event[key] for key in ("kind", "name", "prefix", "how")})
        elif kind == "left":
            problem = {key: event["problem"].get(key) for key in ("code", "detail", "hint")}
            self.left.append({key: event[key] for key in ("kind", "name", "prefix")} | {"problem": problem})
        is_entry = kind == "checked" and event["kind"] == "entry"
        self.entries += is_entry
        return is_entry

    def as_json(self, *, repair: bool) -> dict[str, Any]:
        """The report for scripts; only that of a repair says what was mended and what is left."""
        value: dict[str, Any] = {"entries": self.entries, "findings": self.findings}
        return value | {"mended": self.mended, "left": self.left} if repair else value

    def lines(self, *, repair: bool) -> Iterator[str]:
        """The report for people."""
        for found in self.findings:
            thing = " ".join(filter(None, (found["kind"], found["name"], found["version"], found["prefix"])))
            yield f"{thing}: {found['path']}: {found['what']}"
        for mended in self.mended:
            yield f"mended: {mended['kind']} {mended['name']}: {mended['how']}"
        for left in self.left:
            problem = left["problem"]
            yield f"not mended: {left['kind']} {left['name']}: {problem['code']}: {problem['detail']}"
            if problem.get("hint"):
                yield f"  hint: {problem['hint']}"
        yield self._last_line(repair=repair)

    def _last_line(self, *, repair: bool) -> str:
        if not self.findings:
            return f"{count_text(self.entries, 'entry', 'entries')} and all that is made of them: as they should be"
        findings = count_text(len(self.findings), "finding", "findings")
        counted = f"{count_text(self.entries, 'entry', 'entries')}, {findings}"
        if repair:
            mended = count_text(len(self.mended), "thing", "things")
            return f"{counted}: {mended} mended, {len(self.left)} not; see `storectl doctor`"
        return f"{counted}; `storectl store verify --repair` mends what can be mended"
