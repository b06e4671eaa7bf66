"""A real daemon that keeps nothing for having been made or used lately, and projects that change."""

import json
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import quote

from storectl_store.collecting.sightings import Sighting, read_sightings, write_sightings
from storectl_store.entries.layout import StoreLayout
from support.daemon import Daemon
from support.index import LoopbackIndex
from support.lock_files import pylock_text
from support.wheels import WheelBytes, make_wheel

BOTH = make_wheel("both")
OWN = f"OWN = {secrets.token_hex(8)!r}\n"
"""In wheels of environments that are collected. Environments of the same wheels have the same id in every store, and a
process of another test that names one counts as a use of it: nobody can tell by which path it sees the store."""

ONE, TWO, THREE = (
    make_wheel("changed", version, files={"changed/__init__.py": f"V = {version!r}\n{OWN}"}) for version in "123"
)
NOW = {
    "STORECTL_COLLECT_ANY_GRACE": "1",
    "STORECTL_COLLECT_GRACE": "0",
    "STORECTL_COLLECT_KEEP_DAYS": "0",
    "STORECTL_COLLECT_KEEP_GENERATIONS": "1",
}
"""Nothing is kept for having been made or used lately."""

DAY = 24 * 3600


class Lived:
    """A daemon that keeps nothing for having been used lately, and projects that change."""

    def __init__(self, daemon: Daemon, index: LoopbackIndex, folder: Path) -> None:
        self.daemon = daemon
        self.index = index
        self.folder = folder
        self.layout = StoreLayout(daemon.store)
        index.add(BOTH, ONE, TWO, THREE)
        if all(process.poll() is not None for process in daemon.processes):
            daemon.start(env=NOW)

    def project(self, name: str, *wheels: WheelBytes) -> Path:
        """The project with this lock file, warmed."""
        project = self.folder / name
        project.mkdir(parents=True, exist_ok=True)
        (project / "pylock.toml").write_text(pylock_text(self.index, list(wheels)))
        self.daemon.ready(project)
        return project

    def clear(self) -> None:
        """Forget everything, and collect it."""
        for project in self.daemon.get("/v1/projects"):
            self.daemon.request("DELETE", f"/v1/projects?path={quote(project['path'])}")
        for pin in self.layout.roots.glob("*"):
            pin.unlink()
        self.collect(keep_days=0, keep_generations=0)
        assert self.daemon.get("/v1/entries") == []

    def restart(self) -> None:
        self.daemon.stop()
        self.daemon.start(env=NOW)

    def collect(self, **asked: Any) -> dict[str, Any]:
        """What went; ``planned`` is what was told before."""
        events = self.events(**asked)
        assert [events[0]["event"], events[-1]["event"]] == ["planned", "collected"], (events, self.daemon.log)
        return {**events[-1], "planned": events[0]}

    def events(self, **asked: Any) -> list[dict[str, Any]]:
        status, _, body = self.daemon.request("POST", "/v1/collect", asked)
        assert status == 200, body
        return [json.loads(line) for line in body.splitlines()]

    def why(self, name: str) -> dict[str, list[str]]:
        """By version: what keeps it, as ``kind detail``."""
        found = self.daemon.get(f"/v1/why/{name}")
        return {each["version"]: [f"{r['kind']} {r['detail']}" for r in each["reasons"]] for each in found}

    def versions(self) -> list[str]:
        return [each["version"] for each in self.daemon.get("/v1/entries") if each["name"] == "changed"]

    def verified(self) -> bool:
        _, _, body = self.daemon.request("POST", "/v1/verify")
        return bool(json.loads(body.splitlines()[-1])["findings"] == 0)

    def missing_since(self, days: float) -> None:
        """Let every missing folder be missing for so many days."""
        sightings = read_sightings(self.layout)
        write_sightings(
            self.layout,
            {
                path: Sighting(mount=each.mount, missing=each.missing and each.missing - days * DAY)
                for path, each in sightings.items()
            },
        )
