"""What an environment is made from, as it is on disk now or as the history kept it. All of this may block."""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from storectl_daemon.jobs.options import Job
from storectl_daemon.projects.inputs import Inputs, Located
from storectl_daemon.warming.closure import Closure
from storectl_shim.trust import list_paths, other_owner
from storectl_store.entries.layers import Layers
from storectl_store.projects.input_state import InputKind, InputState, layer_inputs, read_states, stronger
from storectl_store.projects.kept_inputs import KeptInputs, KeptWheel
from storectl_store.projects.local_inputs import check_is_project, local_inputs
from storectl_store.projects.version_files import Around, look_around
from storectl_store.selection.lock_file import LockFile, kind_of
from storectl_store.selection.origins import direct_urls
from storectl_store.selection.pin import Pin
from storectl_store.selection.reading import read_lock_file, remembering
from storectl_store.selection.settings_files import settings_files
from storectl_store.selection.tables.snapshot import content_at
from storectl_store.selection.target import Interpreter
from storectl_store.selection.uv.workspace import matching_among


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A lock file and what the folders around it say.

    ``files`` are those that were read for the lock file, with their content.
    """

    located: Located
    lock_file: LockFile
    around: Around
    files: Mapping[Path, bytes]


def read_now(job: Job, inputs: Inputs) -> Reading:
    """What is there now."""
    files: dict[Path, bytes] = {}
    further = map(Path, job.options.further_lock_files)
    lock_file = read_lock_file(inputs.located.lock_file, further, variables=job.environ, read=remembering(files))
    return Reading(located=inputs.located, lock_file=lock_file, around=_look_around(job, lock_file), files=files)


def read_as_kept(job: Job, kept: KeptInputs) -> Reading:
    """What was there when this was kept; settings files, which are not kept, are read as they are now."""
    further = map(Path, job.options.further_lock_files)
    settings = settings_files(kind_of(kept.lock_file) or "", kept.lock_file.parent, job.environ)

    def read(path: Path) -> bytes | None:
        return content_at(path) if path in settings else kept.read(path)

    matching = matching_among(kept.files)
    lock_file = read_lock_file(kept.lock_file, further, variables=job.environ, read=read, matching=matching)
    located = Located(project=job.project, lock_file=kept.lock_file)
    return Reading(located=located, lock_file=lock_file, around=Around(), files=kept.files)


def made_for(reading: Reading, interpreter: Interpreter) -> Reading:
    """The reading, with the interpreter as one more input: installed anew, it may be another build or version."""
    program = read_states({Path(interpreter.executable): "program"})
    return replace(reading, around=replace(reading.around, inputs=reading.around.inputs | program))


def lists_of_trust(paths: Iterable[Path], environ: Mapping[str, str]) -> dict[Path, InputState | None]:
    """The lists of what the user trusts, if one of these paths is another user's; trust may be taken back."""
    if not any(map(_is_others, paths)):
        return {}
    return read_states(dict.fromkeys(map(Path, list_paths(environ)), "file"))


def _is_others(path: Path) -> bool:
    try:
        return other_owner(os.fspath(path)) is not None
    except OSError:
        return False


def read_overlay(job: Job) -> LockFile | None:
    """The lock file of the overlay; None if the job has none."""
    overlay = job.options.overlay
    return None if overlay is None else read_lock_file(Path(overlay), variables=job.environ)


def to_be_kept(reading: Reading, interpreter: Interpreter, pins: Sequence[Pin]) -> KeptInputs:
    """What the history keeps of an environment of these wheels: no settings files, which may hold passwords."""
    lock_file = reading.lock_file
    return KeptInputs(
        lock_file=lock_file.path,
        executable=interpreter.executable,
        version=interpreter.version,
        interpreter_identity=interpreter.identity,
        wheels=tuple(KeptWheel(name=pin.name, version=pin.version, digest=pin.wheel.digest) for pin in pins),
        direct_urls=direct_urls(pins),
        files={path: content for path, content in reading.files.items() if path not in lock_file.settings},
    )


def extra_inputs(
    lock_files: Sequence[LockFile], closure: Closure, settings: Sequence[Path]
) -> dict[Path, InputState | None]:
    """Inputs beyond the usual ones, as they are before anything is made from them.

    They are what the lock files refer to, an overlay's lock file, settings files, and what local projects are built
    from.
    """
    kinds: dict[Path, InputKind] = {}
    for project in closure.local_projects:
        for path, kind in local_inputs(Path(project.path)).watched.items():
            kinds[path] = stronger(kind, kinds.get(path))
        if project.packaged:
            check_is_project(Path(project.path))
    further = [*settings, *(lock_file.path for lock_file in lock_files[1:])]
    found = read_states(kinds | dict.fromkeys(further, "file"))
    for lock_file in lock_files:
        found |= {Path(path): _read_before(content) for path, content in lock_file.included.items()}
        found |= dict.fromkeys(map(Path, lock_file.absent))
    return found


def states_of_layers(layers: Layers) -> dict[Path, dict[Path, InputState | None]]:
    """What an environment that is in a layer or leads into it depends on, as it is now, by the root of the layer."""
    return {layer.root: read_states(layer_inputs(layer.root)) for layer in layers.lower}


def _read_before(content: bytes) -> InputState:
    return InputState(sha256=hashlib.sha256(content).hexdigest(), size=len(content))


def _look_around(job: Job, lock_file: LockFile) -> Around:
    """The Python that the folders around ask for. The project around counts only for a requirements file."""
    start = Path(job.options.member) if job.options.member else job.project
    return look_around(start, job.environ, for_project=lock_file.kind == "requirements")
