"""Malformed lock files: whatever is wrong with one, there is one line that says what and where, and soon.

`STORECTL_CASES` is how many are tried over all kinds (1,500 without it); a case is repeated by the name in the failure.
"""

import os
import re
import time
import tracemalloc
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storectl_store.errors import LockFileError, SelectionError
from storectl_store.selection.lock_file import LockFile
from storectl_store.selection.requirements.entries import references
from storectl_store.selection.requires_python import requires_python_of
from storectl_store.selection.select import SELECTORS, select
from storectl_store.selection.target import Target
from support.malformed import DAMAGES, SECRET, damaged
from support.sound_lock_files import FOLDER, PYPROJECT, SOUND_LOCK_FILES, SoundLockFile
from support.targets import make_target

CASES = int(os.environ.get("STORECTL_CASES", "1500"))
SECONDS = 2.0
MEMORY = 64 * 1024 * 1024
LONGEST = 1_300
POSITION = re.compile(rf"({re.escape(str(FOLDER))}/[\w./-]+):(\d+)(?::(\d+))?: .")
TARGETS = (make_target(), make_target("3.11.2", "darwin", all_extras=True), make_target(groups=("dev",)))
KNOWN: list[SoundLockFile] = [sound for sound in SOUND_LOCK_FILES if sound.kind in SELECTORS]
each_kind = pytest.mark.parametrize("sound", KNOWN, ids=[sound.kind for sound in KNOWN])


def test_there_is_a_sound_lock_file_of_each_kind() -> None:
    assert {sound.kind for sound in KNOWN} == SELECTORS.keys()


@each_kind
def test_a_sound_lock_file_selects_something_for_each_target(sound: SoundLockFile) -> None:
    selection = select(sound.lock_file(), TARGETS[0])
    pinned = {pin.name for pin in selection.pins} | {pin.name for pin in selection.index_pins}
    assert pinned | {project.name for project in selection.local_projects} >= {"alpha", "beta", "gamma", "lib"}


@each_kind
@pytest.mark.parametrize("how", DAMAGES)
def test_what_is_malformed_is_said_in_one_line_with_its_place(sound: SoundLockFile, how: str) -> None:
    complaints: list[str] = []
    outcomes: Counter[str] = Counter()
    for number in range(CASES // (len(KNOWN) * len(DAMAGES))):
        content = damaged(sound.kind, sound.content.encode(), how=how, number=number)
        target = TARGETS[0 if sound.kind == "requirements" or number % 4 else 1 + number // 4 % 2]
        strictly = (how == "truncated" or is_retyped(how, sound)) and is_selectable(sound, target)
        complaint = complaint_about(sound.lock_file(content), target, outcomes, strictly=strictly)
        if complaint:
            complaints.append(f"{sound.kind} {how} {number}: {complaint}")
    assert not complaints, f"{len(complaints)} of {outcomes.total()}\n" + "\n".join(complaints[:20])
    assert outcomes["LockFileError"] or CASES < 1000


@each_kind
@pytest.mark.parametrize("how", DAMAGES)
def test_a_malformed_project_file_beside_it_is_said_in_one_line_with_its_place(sound: SoundLockFile, how: str) -> None:
    complaints: list[str] = []
    for number in range(max(5, CASES // 150)):
        pyproject = damaged("uv", PYPROJECT.encode(), how=how, number=number)
        complaint = complaint_about(sound.with_pyproject(pyproject), TARGETS[0], Counter(), strictly=False)
        if complaint:
            complaints.append(f"{sound.kind} {how} {number}: {complaint}")
    assert not complaints, f"{len(complaints)}\n" + "\n".join(complaints[:20])


@each_kind
@settings(max_examples=max(10, CASES // 60), deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(st.tuples(st.sampled_from(sorted(DAMAGES)), st.integers(0, 10**6)), min_size=2, max_size=4))
def test_damages_together_are_no_worse(sound: SoundLockFile, steps: list[tuple[str, int]]) -> None:
    content = sound.content.encode()
    for how, number in steps:
        content = damaged(sound.kind, content, how=how, number=number)
    assert complaint_about(sound.lock_file(content), TARGETS[0], Counter(), strictly=False) is None


@each_kind
def test_no_malformed_lock_file_takes_much_memory(sound: SoundLockFile) -> None:
    tracemalloc.start()
    try:
        for number in range(30):
            content = damaged(sound.kind, sound.content.encode(), how="hostile", number=number)
            complaint_about(sound.lock_file(content), TARGETS[0], Counter(), strictly=False)
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()


def is_retyped(how: str, sound: SoundLockFile) -> bool:
    """Whether a value is of another type now; requirements files have none."""
    return how == "retyped" and sound.kind != "requirements"


def is_selectable(sound: SoundLockFile, target: Target) -> bool:
    try:
        select(sound.lock_file(), target)
    except SelectionError:
        return False
    return True


def complaint_about(lock_file: LockFile, target: Target, outcomes: Counter[str], *, strictly: bool) -> str | None:
    """What is wrong with how this lock file is read; None where it is as it should be.

    ``strictly`` where nothing but a selection or an error of the lock file is right.
    """
    started = time.process_time()
    try:
        if lock_file.kind == "requirements":
            list(references(str(lock_file.path), lock_file.content, {}, project=str(FOLDER)))
        requires_python_of(lock_file)
        selection = select(lock_file, target)
        outcomes["Selection"] += 1
        told = repr([*selection.warnings, selection.stale, *(pin.direct_url for pin in selection.pins)])
        complaint = f"tells the password: {told}" if SECRET in told else None
    except SelectionError as error:
        outcomes[type(error).__name__] += 1
        complaint = wrong_with(error, lock_file, strictly=strictly)
    except Exception as error:
        outcomes["other"] += 1
        complaint = f"{type(error).__name__}: {error!s:.300}"
    seconds = time.process_time() - started
    return f"{seconds:.1f} s" if seconds > SECONDS else complaint


def wrong_with(error: SelectionError, lock_file: LockFile, *, strictly: bool) -> str | None:
    line = str(error)
    if SECRET in line:
        return f"tells the password: {line[:LONGEST]}"
    if not line.isprintable() or len(line) > LONGEST:
        return f"not one short line: {line[:LONGEST]!r} ({len(line)})"
    if isinstance(error, LockFileError):
        return misplaced(error, lock_file)
    return f"{type(error).__name__} for what is malformed: {line}" if strictly else None


def misplaced(error: LockFileError, lock_file: LockFile) -> str | None:
    """What is wrong with the place that the message begins with, None where there is such a place."""
    match = POSITION.match(error.message)
    if not match:
        return f"no place: {error.message}"
    path, line, column = match[1], int(match[2]), int(match[3] or 1)
    contents = {str(lock_file.path): lock_file.content, str(FOLDER / "pyproject.toml"): lock_file.pyproject or b""}
    content = {**contents, **lock_file.included}.get(path)
    if content is None:
        return f"a file that does not exist: {error.message}"
    lines = (
        content.decode(errors="replace").splitlines() if column == 1 else content.decode(errors="replace").split("\n")
    )
    if not 1 <= line <= max(len(lines), 1) + 1 or column > len((*lines, "")[line - 1]) + 1:
        return f"no such place: {error.message}"
    return None
