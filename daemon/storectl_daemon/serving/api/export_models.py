"""What the API says of exports. Paths are absolute, sizes are bytes."""

from typing import Annotated, Literal

from pydantic import Field

from storectl_daemon.models import AbsolutePath, FailedEvent, ProgressEvent, ShownPath
from storectl_daemon.serving.api.model import Model


class ExportRequest(Model):
    """Export an environment to a ``folder``, or as a tar ``archive``; then ``folder`` is where it will be unpacked.

    ``umask`` is that of the command. ``moment`` is the time of all files of an archive, in seconds.
    """

    folder: AbsolutePath | None = None
    archive: AbsolutePath | None = None
    method: Literal["auto", "copy", "reflink", "hardlink"] = "auto"
    relocatable: bool = True
    umask: Annotated[int, Field(ge=0, le=0o777)] = 0o022
    moment: Annotated[int, Field(ge=0, lt=2**32)] = 315532800


class ExportedEvent(Model):
    """The export is there. ``local`` are folders whose code is not copied: it is imported from where it is."""

    event: Literal["exported"] = "exported"
    path: ShownPath
    files: int
    bytes: int
    local: tuple[ShownPath, ...]


ExportEvent = ProgressEvent | ExportedEvent | FailedEvent
