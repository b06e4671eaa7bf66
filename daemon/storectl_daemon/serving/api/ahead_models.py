"""The account of what was made ahead, as the API tells it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from storectl_daemon.messages import Message
from storectl_daemon.models import ShownPath
from storectl_daemon.projects.ahead import MadeAhead
from storectl_daemon.service import Service
from storectl_store.digest import EnvironmentId


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeAheadInfo(Message):
    """One environment that was made ready before anybody asked for it. ``at`` and ``used`` are in seconds since 1970.

    ``seconds`` is how long the making took; ``used`` is when a program first started in it.
    """

    project: ShownPath
    environment: EnvironmentId
    branch: ShownPath | None
    why: Literal["change", "fetch", "worktree"]
    at: float
    seconds: float
    used: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AheadAccount(Message):
    """The last seven days: how many were made and used, and the seconds of waiting that the used ones saved."""

    made: int
    used: int
    saved_s: float
    last: MadeAheadInfo | None


async def ahead_account(service: Service, project: Path | None) -> AheadAccount:
    """The account of this project, or of all projects."""
    await service.ahead.look()
    account = service.ahead.account(project)
    return AheadAccount(
        made=account.made,
        used=account.used,
        saved_s=round(account.saved, 3),
        last=None if account.last is None else _encoded_one(account.last),
    )


def _encoded_one(made: MadeAhead) -> MadeAheadInfo:
    return MadeAheadInfo(
        project=str(made.project),
        environment=made.environment,
        branch=made.branch,
        why=made.why,
        at=round(made.at, 3),
        seconds=round(made.seconds, 3),
        used=None if made.used is None else round(made.used, 3),
    )
