"""``/v1/ahead``: what was made ready before anybody asked for it."""

from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Query

from storectl_daemon.models import AbsolutePath, Model, ShownPath
from storectl_daemon.projects.ahead import Account, MadeAhead
from storectl_daemon.service import Service
from storectl_store.digest import EnvironmentId

ProjectQuery = Annotated[AbsolutePath | None, Query()]


class MadeAheadInfo(Model):
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


class AheadAccount(Model):
    """The last seven days: how many were made and used, and the seconds of waiting that the used ones saved."""

    made: int
    used: int
    saved_s: float
    last: MadeAheadInfo | None


def routes(service: Service) -> APIRouter:
    """The routes, bound to one daemon."""
    router = APIRouter(tags=["ahead"])

    @router.get("/ahead")
    async def ahead(path: ProjectQuery = None) -> AheadAccount:
        """The account of the project in this folder, or of all projects."""
        await service.ahead.look()
        return _encoded(service.ahead.account(None if path is None else Path(path)))

    return router


def _encoded(account: Account) -> AheadAccount:
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
