"""``/v1/health`` and ``/v1/shutdown``: the daemon itself."""

import os
import time
from importlib.metadata import PackageNotFoundError, version

from fastapi import APIRouter, Response

from storectl_daemon.lifecycle import resident_bytes
from storectl_daemon.models import Health
from storectl_daemon.service import Service


def installed_version() -> str:
    """The version of storectl; ``unknown`` in a checkout that is not installed."""
    try:
        return version("storectl")
    except PackageNotFoundError:
        return "unknown"


def routes(service: Service) -> APIRouter:
    """The routes, bound to one daemon."""
    router = APIRouter(tags=["daemon"])
    storectl_version = installed_version()

    @router.get("/health")
    async def health() -> Health:
        """Who is there: also the handshake of API version and features."""
        return Health(
            version=storectl_version,
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
