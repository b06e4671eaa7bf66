"""What was made ahead: environments that were ready before anybody asked for them, and what waiting that saved.

Kept in ``<store>/ahead.json``, format 1:

    {"format": 1, "told": seconds, "made": [{"project": path, "environment": id, "branch": name or null, "why": word,
     "at": seconds, "seconds": number, "used": seconds or null}, …]}

Times are of the system clock. Nothing depends on the file: one that is gone or damaged is an account that begins anew.

An environment was used if its ``pyvenv.cfg`` was read after it was made: every program that starts in it reads that
file (``storectl_shim.leases``). The kernel notes the time of that at no cost, at once for a new file, later once a day
(relatime). On a file system that keeps no such times nothing counts as used.
"""

import asyncio
import json
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from storectl_daemon.process.latest_file import LatestFile
from storectl_store.digest import EnvironmentId
from storectl_store.entries.layout import StoreLayout

logger = logging.getLogger(__name__)

AHEAD_FORMAT = 1
WEEK_S = 7 * 24 * 3600.0
MOST_KEPT = 200
"""The most environments in the account; the oldest leave it."""

WORTH_TELLING_S = 1.0
"""Waiting that is shorter than this is not worth a line."""

Why = Literal["change", "fetch", "worktree"]
"""What the daemon saw: inputs that changed, a branch that was fetched, a new worktree."""

TellWhen = Literal["never", "daily", "always"]
"""How often the first program is told: at most once a day, or each time, however short the waiting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeAhead:
    """One environment. ``seconds`` is how long the making took; ``used`` is when a program first started in it."""

    project: Path
    environment: EnvironmentId
    branch: str | None
    why: Why
    at: float
    seconds: float
    used: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What was made ahead within a week, how much of that was used, and the waiting that this saved, in seconds."""

    made: int
    used: int
    saved: float
    last: MadeAhead | None


Uses = Callable[[Iterable[EnvironmentId]], Mapping[EnvironmentId, float]]
"""When each of these environments was last used, as far as that is known; may block."""


def uses(layout: StoreLayout, environments: Iterable[EnvironmentId]) -> dict[EnvironmentId, float]:
    """When programs last started in these environments, in seconds; those that are gone are left out."""
    found = {}
    for environment in environments:
        with suppress(OSError):
            found[environment] = os.stat(layout.leased(environment)).st_atime
    return found


class Ahead:
    """The account of one store, in memory and in its file.

    Call it on the event loop; ``told_by`` and ``is_told`` from any thread.
    """

    def __init__(self, file: Path, *, uses: Uses, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._uses = uses
        self._told, made = _read(file)
        self._made = deque(made, MOST_KEPT)
        self._lines: dict[Path, str] = {}
        self._file = LatestFile(file, self._content)

    def made(self, new: MadeAhead, *, tell: TellWhen | None = None) -> None:
        """Note an environment that nobody waited for. Look before.

        ``tell`` is how often the next program in the project is told, None if it does not start in this environment.
        One that was made ready for the project before, and not used yet, counts once, with the time of both.
        """
        before = next((each for each in self._made if each.used is None and _same(each, new)), None)
        if before is not None:
            self._made.remove(before)
            new = replace(new, seconds=before.seconds + new.seconds, why=before.why)
        self._made.append(new)
        if tell is not None and self._is_worth_telling(new, tell):
            self._told = new.at
            self._lines[new.project] = line_about(new)
        elif tell is not None:
            self._lines.pop(new.project, None)
        self._file.changed()

    async def look(self) -> None:
        """See which environments were used since the last look."""
        unused = {each.environment for each in self._made if each.used is None}
        found = await asyncio.to_thread(self._uses, unused) if unused else {}
        for place, each in enumerate(self._made):
            used = found.get(each.environment, 0.0)
            if each.used is None and used > each.at:
                self._made[place] = replace(each, used=used)
                self._file.changed()

    def told_by(self, project: Path) -> str | None:
        """The line for the first program that is started in the project; None if there is nothing to tell."""
        return self._lines.get(project)

    def is_told(self, project: Path) -> None:
        """The line is where the next program finds it."""
        self._lines.pop(project, None)

    def account(self, project: Path | None = None) -> Account:
        """The last week, of one project or of all."""
        since = self._clock() - WEEK_S
        made = [each for each in self._made if each.at >= since and project in (None, each.project)]
        used = [each for each in made if each.used is not None]
        saved = sum(each.seconds for each in used)
        return Account(made=len(made), used=len(used), saved=saved, last=made[-1] if made else None)

    def forget(self, project: Path) -> None:
        """Leave a project out that is no longer registered."""
        self._lines.pop(project, None)
        kept = [each for each in self._made if each.project != project]
        if len(kept) < len(self._made):
            self._made = deque(kept, MOST_KEPT)
            self._file.changed()

    async def written(self) -> None:
        """Return when the file has every change so far."""
        await self._file.written()

    def _is_worth_telling(self, new: MadeAhead, tell: TellWhen) -> bool:
        if tell == "daily":
            first_today = new.project in self._lines or _day(self._told) != _day(new.at)
            return first_today and new.seconds >= WORTH_TELLING_S
        return tell == "always"

    def _content(self) -> list[bytes]:
        value = {"format": AHEAD_FORMAT, "told": self._told, "made": [_encoded(each) for each in self._made]}
        return [json.dumps(value, indent=1).encode() + b"\n"]


def line_about(made: MadeAhead) -> str:
    """What the first program is told: ``this was ready before you asked (branch fix-ci): 4.1 s of waiting saved``."""
    causes = {"change": "", "fetch": "fetched ahead", "worktree": "a new worktree"}
    known = [f"branch {made.branch}" if made.branch else "", causes[made.why]]
    cause = f" ({', '.join(filter(None, known))})" if any(known) else ""
    return f"this was ready before you asked{cause}: {made.seconds:.1f} s of waiting saved"


def _same(one: MadeAhead, other: MadeAhead) -> bool:
    return (one.project, one.environment) == (other.project, other.environment)


def _day(seconds: float) -> tuple[int, int]:
    """The local day of a time."""
    moment = time.localtime(seconds)
    return moment.tm_year, moment.tm_yday


def _encoded(made: MadeAhead) -> dict[str, Any]:
    return {
        "project": os.fspath(made.project),
        "environment": made.environment,
        "branch": made.branch,
        "why": made.why,
        "at": round(made.at, 3),
        "seconds": round(made.seconds, 3),
        "used": None if made.used is None else round(made.used, 3),
    }


def _read(file: Path) -> tuple[float, list[MadeAhead]]:
    """When the user was told something last, and what was made. Nothing if the file is gone or damaged."""
    try:
        return _decoded(json.loads(file.read_bytes()))
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        logger.warning("%s cannot be read, and begins anew: %s", file, error)
    return 0.0, []


def _decoded(value: Mapping[str, Any]) -> tuple[float, list[MadeAhead]]:
    if value["format"] != AHEAD_FORMAT:
        raise ValueError(f"format {value['format']!r}")
    return float(value["told"]), list(map(_decoded_one, value["made"]))


def _decoded_one(value: Mapping[str, Any]) -> MadeAhead:
    if value["why"] not in get_args(Why):
        raise ValueError(f"why {value['why']!r}")
    branch, used = value["branch"], value["used"]
    return MadeAhead(
        project=Path(value["project"]),
        environment=EnvironmentId(str(value["environment"])),
        branch=None if branch is None else str(branch),
        why=value["why"],
        at=float(value["at"]),
        seconds=float(value["seconds"]),
        used=None if used is None else float(used),
    )
