"""``/v1/environments``: what is published. ``storectl_daemon.serving.app`` answers for the import map."""

from fastapi import APIRouter

from storectl_daemon.models import EnvironmentInfo
from storectl_daemon.published import known_environment
from storectl_daemon.service import Service


def routes(service: Service) -> APIRouter:
    """The routes, bound to one daemon."""
    router = APIRouter(tags=["environments"])

    @router.get("/environments")
    def environments() -> list[EnvironmentInfo]:
        """Every published environment, with a project that uses it."""
        return list(service.all_environments())

    @router.get("/environments/{environment_id}")
    def environment(environment_id: str) -> EnvironmentInfo:
        """One environment."""
        known = known_environment(service.environments, environment_id)
        return next((info for info in service.all_environments() if info.id == known.id), known)

    return router
