"""The state of a job: what a client may be told of it at any moment. ``environment`` is always the last good one."""

from dataclasses import dataclass

from storectl_daemon.models import EnvironmentInfo, Problem, ProgressEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """Nothing is done for the job, and nothing is known to be wrong."""

    environment: EnvironmentInfo | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Warming:
    """A flight is under way."""

    environment: EnvironmentInfo | None
    progress: ProgressEvent | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The environment fits the inputs."""

    environment: EnvironmentInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """There is no environment for the inputs as they are."""

    environment: EnvironmentInfo | None
    problem: Problem


WarmState = Ready | Warming | Failed | Idle
