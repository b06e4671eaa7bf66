"""From a selection to the wheels that stores have of it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from storectl_store.digest import algorithm_of
from storectl_store.errors import NotWarmedError
from storectl_store.frozen.shelf import Shelf
from storectl_store.selection.origins import folder_origin
from storectl_store.selection.pin import IndexPin, LocalProject, Pin, Selection, SourcePin, WheelFile
from storectl_store.selection.target import Interpreter


@dataclass(frozen=True, slots=True, kw_only=True)
class Closure:
    """What a lock file selects for one target, every pin with its file and its sha256.

    ``stale`` is that of the selection.
    """

    pins: tuple[Pin, ...]
    local_projects: tuple[LocalProject, ...]
    stale: str | None = None

    def below(self, other: Self) -> Self:
        """This closure with what the other adds. A project that both have stays as it is in this one."""
        own = {pin.name for pin in self.pins} | {local.name for local in self.local_projects}
        return replace(
            self,
            pins=(*self.pins, *(pin for pin in other.pins if pin.name not in own)),
            local_projects=(*self.local_projects, *(local for local in other.local_projects if local.name not in own)),
        )


def closure_of(shelf: Shelf, selection: Selection, interpreter: Interpreter) -> Closure:
    """What the selection consists of. Raises NotWarmedError if only a daemon could tell."""
    local = selection.local_projects
    editable = [_editable(project) for project in local if project.packaged]
    looked_up = [_looked_up(shelf, pin, interpreter) for pin in selection.index_pins]
    _check_none_is_built(selection.source_pins)
    pins = (*map(_identified, selection.pins), *looked_up, *editable)
    return Closure(pins=pins, local_projects=local, stale=selection.stale)


def _identified(pin: Pin) -> Pin:
    """The pin, if it is known by its sha256, by which stores know entries."""
    if algorithm_of(pin.wheel.digest) != "sha256" or pin.wheel.one_of:
        raise _only_a_daemon_knows(f"{pin.name} {pin.version} is locked without a sha256", pin.name)
    return pin


def _looked_up(shelf: Shelf, pin: IndexPin, interpreter: Interpreter) -> Pin:
    wheel: WheelFile | None = shelf.best_of(pin.digests, interpreter) if "wheel" in pin.formats else None
    if wheel is None:
        raise _only_a_daemon_knows(f"no store has a wheel of {pin.name} {pin.version}", pin.name)
    return Pin(name=pin.name, version=pin.version, wheel=wheel)


def _editable(project: LocalProject) -> Pin:
    """The editable wheel of a local project, as its folder is now."""
    from storectl_store.projects.editable_wheel import editable_wheel  # noqa: PLC0415 - a third of all that is loaded

    wheel = editable_wheel(project)
    if wheel is None:
        raise _only_a_daemon_knows(f"{project.name} in {Path(project.path)} is built by its own backend", project.name)
    file = WheelFile(filename=wheel.filename, digest=wheel.digest, url=f"file:///{wheel.filename}")
    origin = folder_origin(project.path, editable=project.editable)
    return Pin(name=project.name, version=wheel.version, wheel=file, direct_url=origin)


def _check_none_is_built(pins: Iterable[SourcePin]) -> None:
    for pin in pins:
        raise _only_a_daemon_knows(f"{pin.name} {pin.version or ''}".rstrip() + " is locked as a source", pin.name)


def _only_a_daemon_knows(why: str, name: str) -> NotWarmedError:
    return NotWarmedError(f"{why}, and only a project's record tells what was made of it", name=name)
