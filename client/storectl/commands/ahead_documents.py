"""What `--json` prints of environments that were made ahead, as types (``documents``)."""

from typing import Annotated, Literal, TypedDict


class MadeAhead(TypedDict):
    """One environment that was ready before anybody asked for it."""

    project: Annotated[str, "the folder of its project"]
    environment: Annotated[str, "its id"]
    branch: Annotated[str | None, "that it was made for; null if it is not known"]
    why: Annotated[Literal["change", "fetch", "worktree"], "what the daemon saw"]
    at: Annotated[float, "when it was ready, in seconds since 1970"]
    seconds: Annotated[float, "that the making took"]
    used: Annotated[float | None, "when a program first started in it; null if none has"]


class Ahead(TypedDict):
    """The last seven days."""

    made: Annotated[int, "how many environments were made ahead"]
    used: Annotated[int, "in how many of them a program started"]
    saved_s: Annotated[float, "the waiting that this saved, in seconds"]
    last: Annotated[MadeAhead | None, "the last one"]
