"""``/v1/ahead``: what was made ready before anybody asked for it."""

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query

from storectl_daemon.models import AbsolutePath
from storectl_daemon.service import Service
from storectl_daemon.serving.api.ahead_models import AheadAccount, ahead_account

ProjectQuery = Annotated[AbsolutePath | None, Query()]


def routes(service: Service) -> APIRouter:
    """The routes, bound to one daemon."""
    router = APIRouter(tags=["ahead"])

    @router.get("/ahead")
    async def ahead(path: ProjectQuery = None) -> AheadAccount:
        """The account of the project in this folder, or of all projects."""
        return await ahead_account(service, None if path is None else Path(path))

    return router
