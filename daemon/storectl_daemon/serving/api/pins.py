"""``/v1/pins``: environments that a person wants to keep."""

import asyncio
import time
from pathlib import Path

from fastapi import APIRouter

from storectl_daemon.errors import UnknownPinError
from storectl_daemon.published import known_environment
from storectl_daemon.service import Service
from storectl_daemon.serving.api.collecting_models import PinInfo, PinRequest
from storectl_store.collecting.pins import KeptEnvironment, read_pins, remove_pin, write_pin


def routes(service: Service) -> APIRouter:
    """The routes, bound to one daemon."""
    router = APIRouter(tags=["collecting"])

    @router.get("/pins")
    def pins() -> list[PinInfo]:
        """Every pin."""
        return [_pin_info(service, pin) for pin in read_pins(service.store.layout)]

    @router.post("/pins")
    async def pin(request: PinRequest) -> PinInfo:
        """Keep an environment, in place of what was pinned by this name."""
        with service.holds.keep([request.environment]):  # first held, then looked for
            known_environment(service.environments, request.environment)
            kept = KeptEnvironment(
                name=request.name,
                environment=request.environment,
                at_ns=time.time_ns(),
                project=Path(request.project),
            )
            await asyncio.to_thread(write_pin, service.store.layout, kept)
        return _pin_info(service, kept)

    @router.delete("/pins/{name}", status_code=204)
    async def unpin(name: str) -> None:
        """Keep it no longer."""
        if name in {".", ".."} or not await asyncio.to_thread(remove_pin, service.store.layout, name):
            raise UnknownPinError(f"nothing is pinned as {name[:64]}", hint="`storectl env pins` shows what is pinned")

    return router


def _pin_info(service: Service, pin: KeptEnvironment) -> PinInfo:
    return PinInfo(
        name=pin.name,
        environment=pin.environment,
        project=str(pin.project),
        at=pin.at_ns / 1e9,
        there=service.environments.record(pin.environment) is not None,
    )
