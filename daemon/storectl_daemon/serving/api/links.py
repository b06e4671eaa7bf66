"""``/v1/links``: virtual environments in projects' folders that follow their lock files."""

from typing import Annotated

from fastapi import APIRouter, Query

from storectl_daemon.models import AbsolutePath, LinkPlaced, LinkRemoved, LinkRequest, LinkState
from storectl_daemon.service import Service

PathQuery = Annotated[AbsolutePath, Query()]


def routes(service: Service) -> APIRouter:
    """The routes, bound to one daemon."""
    router = APIRouter(tags=["links"])

    @router.post("/links")
    async def link(request: LinkRequest) -> LinkPlaced:
        """Make a link, or bring the one that is there up to date."""
        return await service.link(request)

    @router.get("/links")
    async def links(path: PathQuery) -> list[LinkState]:
        """The links in the folder of a project."""
        return await service.links(path)

    @router.delete("/links")
    async def unlink(path: PathQuery) -> LinkRemoved:
        """Remove a link. What others have put into it is left."""
        return await service.unlink(path)

    return router
