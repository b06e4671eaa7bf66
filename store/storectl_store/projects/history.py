"""The history of a project's environments: ``projects/<folder>/@storectl/history``. Format 1, a line for each change.

    1 <ns> <key> <environment id> <inputs digest> <branch or -> <commit or -> <snapshot>

``ns`` is a time of the system clock, ``key`` that of the options. Branch and snapshot have no spaces: what has some is
percent-encoded. The snapshot names the contents of the inputs, ``history.d/<snapshot>.gz``.
"""

from dataclasses import dataclass

from storectl_store.digest import EnvironmentId


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One environment that a project had. ``number`` counts from 1 for each key, and is never given twice."""

    number: int
    at_ns: int
    key: str
    environment: EnvironmentId
    inputs: str
    branch: str | None
    commit: str | None
    snapshot: str
