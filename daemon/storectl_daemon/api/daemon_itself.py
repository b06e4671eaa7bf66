"""``/v1/health`` and ``/v1/shutdown``: the daemon itself."""

import os
import time

from fastapi import APIRouter, Response

from storectl_daemon.memory import resident_bytes
from storectl_daemon.models import Health
from storectl_daemon.service import Service
from storectl_store.version import installed_version


def routes(service: Service) -> APIRouter:
    """The routes, bound to one daemon."""
    router = APIRouter(tags=["daemon"])
    version = installed_version()  # asked for here: it takes some ms, and nobody waits yet

    @router.get("/health")
    async def health() -> Health:
        """Who is there: also the handshake of API version and features."""
        return Health(
            version=version,
            pid=os.getpid(),
            store=str(service.store.layout.root),
            socket=str(service.socket),
            uptime_s=round(time.monotonic() - service.started, 3),
            rss_bytes=resident_bytes(),
        )

    @router.post("/shutdown", status_code=202)
    async def shutdown() -> Response:
        """Ask for the end; it comes after this answer."""
        service.stop()
        return Response(status_code=202)

    return router
