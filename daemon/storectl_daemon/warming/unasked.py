"""Flights that nobody asked for: the daemon saw a change. What they make is made ahead, and gets into the account."""

import asyncio
import logging
import time

from storectl_daemon.errors import DaemonError
from storectl_daemon.jobs.options import DEFAULT_OPTIONS, Job
from storectl_daemon.process.user_settings import read_user_settings
from storectl_daemon.projects.ahead import Ahead, MadeAhead, TellWhen, Why
from storectl_daemon.projects.git_folder import head_of
from storectl_shim.project_record import NEVER_TELL
from storectl_store.digest import EnvironmentId

logger = logging.getLogger(__name__)

VARIABLE, SETTING = "STORECTL_TELL", "tell"
_ALWAYS = "always"


class Unasked:
    """Knows which flights are still unasked for. Call it on the event loop."""

    def __init__(self, ahead: Ahead) -> None:
        self._ahead = ahead
        self._begun: dict[Job, tuple[Why, float]] = {}

    def begin(self, job: Job, why: Why) -> None:
        """A flight of the job begins, because of this."""
        self._begun[job] = why, time.monotonic()

    def end(self, job: Job) -> None:
        """Somebody asks for the job, or its flight is over."""
        self._begun.pop(job, None)

    async def note(self, job: Job, environment: EnvironmentId, *, before: EnvironmentId | None) -> None:
        """Note what the job's flight has made, if nobody has asked for it, and the job had another one ``before``."""
        begun = self._begun.get(job)
        if begun is None or environment == before:
            return
        why, since = begun
        seconds = time.monotonic() - since
        branch, tell = await asyncio.to_thread(_facts, job)
        made = MadeAhead(
            project=job.project, environment=environment, branch=branch, why=why, at=time.time(), seconds=seconds
        )
        await self._ahead.look()
        self._ahead.made(made, tell=tell)


def _facts(job: Job) -> tuple[str | None, TellWhen | None]:
    """The branch, and how often it is told: of other options than the default ones a run tells nothing. May block."""
    tell = tell_when(job) if job.options == DEFAULT_OPTIONS else None
    return head_of(job.project, environ=job.environ).branch, tell


def tell_when(job: Job) -> TellWhen:
    """What STORECTL_TELL says, else ``tell`` in the user's settings: ``never``, ``always``, else once a day."""
    said: object = job.environ.get(VARIABLE)
    if not said:
        try:
            said = read_user_settings(job.environ)[1].get(SETTING)
        except DaemonError as error:
            logger.warning("%s", error)
    word = str(said).lower()
    return "never" if word in NEVER_TELL else "always" if word == _ALWAYS else "daily"
