"""``/v1/health`` and ``/v1/shutdown``: the daemon itself."""

from fastapi import APIRouter, Response

from storectl_daemon.models import Health
from storectl_daemon.service import Service


def routes(service: Service) -> APIRouter:
    """The routes, bound to one daemon."""
    router = APIRouter(tags=["daemon"])

    @router.get("/health")
    async def health() -> Health:
        """Who is there: also the handshake of API version and features."""
        return service.health()

    @router.post("/shutdown", status_code=202)
    async def shutdown() -> Response:
        """Ask for the end; it comes after this answer."""
        service.stop()
        return Response(status_code=202)

    return router
