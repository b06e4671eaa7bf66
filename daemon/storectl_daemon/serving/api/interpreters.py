"""``/v1/interpreters``: the interpreter that a request means, for tools that lock what belongs to no project."""

from fastapi import APIRouter

from storectl_daemon.models import InterpreterInfo, InterpreterRequest
from storectl_daemon.service import Service


def routes(service: Service) -> APIRouter:
    """The routes, bound to one daemon."""
    router = APIRouter(tags=["interpreters"])

    @router.post("/interpreters")
    async def choose(request: InterpreterRequest) -> InterpreterInfo:
        """Find the interpreter that a project without requirements of its own would run under."""
        return await service.interpreter(request)

    return router
