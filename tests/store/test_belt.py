"""The belt: environments and entries that processes name are seen, whatever they have open."""

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from storectl_store.collecting.belt import Seen, look_through_processes
from storectl_store.digest import EnvironmentId

ENVIRONMENT = EnvironmentId(uuid.uuid4().hex)  # other tests run at the same time, and are seen, too
OTHER = EnvironmentId(uuid.uuid4().hex)
ENTRY = f"numpy/{uuid.uuid4().hex}"
WAITS = "import sys; sys.stdout.write('\\n'); sys.stdout.flush(); sys.stdin.read()"

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a process that waits, and returns once it does."""
    with ExitStack() as stack:

        def started(*command: str | Path, **options: str | Path | dict[str, str]) -> "subprocess.Popen[bytes]":
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options)  # type: ignore[call-overload]
            assert isinstance(process, subprocess.Popen)
            stack.callback(process.communicate)
            assert process.stdout is not None
            assert process.stdout.readline()
            return process

        yield started


def environment(store: Path, name: str = ENVIRONMENT) -> Path:
    folder = store / "environments" / name
    (folder / "bin").mkdir(parents=True)
    return folder


def test_nothing_is_seen_of_what_no_process_names(tmp_path: Path) -> None:
    assert OTHER not in look_through_processes(tmp_path).environments


def test_a_shell_in_an_environment_is_seen_by_its_variables(tmp_path: Path, start: Start) -> None:
    shell = start("sh", "-c", "echo; cat", env={"VIRTUAL_ENV": str(environment(tmp_path)), "PATH": os.defpath})
    seen = look_through_processes(tmp_path).environments[ENVIRONMENT]
    assert {process.pid for process in seen} >= {shell.pid}


def test_a_program_that_closed_everything_is_seen_by_its_command_line(tmp_path: Path, start: Start) -> None:
    python = environment(tmp_path) / "bin" / "python"
    python.symlink_to(sys.executable)
    closes = f"import os; os.closerange(3, 300); {WAITS}"
    process = start(python, "-I", "-S", "-c", closes, env={})
    assert [each.pid for each in look_through_processes(tmp_path).environments[ENVIRONMENT]] == [process.pid]


def test_a_program_in_a_folder_of_an_environment_is_seen(tmp_path: Path, start: Start) -> None:
    process = start("sh", "-c", "echo; exec cat", cwd=environment(tmp_path), env={"PATH": os.defpath})
    assert [each.pid for each in look_through_processes(tmp_path).environments[ENVIRONMENT]] == [process.pid]


@pytest.mark.parametrize("number", [9, 200, 201])
def test_the_lease_of_a_program_names_its_process(tmp_path: Path, start: Start, number: int) -> None:
    lease = environment(tmp_path) / "pyvenv.cfg"
    lease.touch()
    opens = f"import os; os.dup2(os.open('pyvenv.cfg', os.O_RDONLY), {number}); os.chdir('/'); {WAITS}"
    process = start(sys.executable, "-I", "-S", "-c", opens, cwd=lease.parent, env={})
    assert [each.pid for each in look_through_processes(tmp_path).environments[ENVIRONMENT]] == [process.pid]


def test_an_entry_is_seen_while_a_library_of_it_is_mapped(tmp_path: Path, start: Start) -> None:
    library = tmp_path / "store" / ENTRY / "site-packages" / "lib.so"
    library.parent.mkdir(parents=True)
    library.write_bytes(bytes(4096))
    reads = "file = open('lib.so', 'rb'); mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ); file.close()"
    maps = f"import mmap, os; {reads}; os.chdir('/'); {WAITS}"
    process = start(sys.executable, "-I", "-S", "-c", maps, cwd=library.parent, env={})
    seen = look_through_processes(tmp_path)
    assert [each.pid for each in seen.entries[ENTRY]] == [process.pid]
    assert process.pid not in {each.pid for found in seen.environments.values() for each in found}


def test_a_store_is_known_by_any_path_to_it(tmp_path: Path, start: Start) -> None:
    environment(tmp_path / "store")
    (tmp_path / "link").symlink_to("store")
    process = start("sh", "-c", "echo; cat; :", f"{tmp_path}/link/environments/{ENVIRONMENT}/bin/tool")
    assert [each.pid for each in look_through_processes(tmp_path).environments[ENVIRONMENT]] == [process.pid]


def test_what_is_of_the_same_name_in_another_store_is_another_thing(tmp_path: Path, start: Start) -> None:
    environment(tmp_path / "ours")
    library = tmp_path / "other" / "store" / ENTRY / "lib.so"
    library.parent.mkdir(parents=True)
    (tmp_path / "ours" / "store" / ENTRY).mkdir(parents=True)
    paths = (environment(tmp_path / "other") / "bin" / "tool", library)
    process = start(
        "sh", "-c", "echo; cat; :", *paths, env={"VIRTUAL_ENV": str(paths[0].parents[1]), "PATH": os.defpath}
    )
    ours = look_through_processes(tmp_path / "ours")
    assert (ENVIRONMENT in ours.environments, ENTRY in ours.entries) == (False, False)
    seen = look_through_processes(tmp_path / "other")
    assert process.pid in {each.pid for each in seen.environments[ENVIRONMENT]}
    assert process.pid in {each.pid for each in seen.entries[ENTRY]}


@pytest.mark.parametrize("path", ["/gone", "relative", "-I{}/other", "{}/a:b"])
def test_a_path_that_cannot_be_followed_counts_as_one_into_the_store(tmp_path: Path, start: Start, path: str) -> None:
    environment(tmp_path)
    environment(tmp_path / "other")
    process = start("sh", "-c", "echo; cat; :", f"{path.format(tmp_path)}/environments/{ENVIRONMENT}")
    assert [each.pid for each in look_through_processes(tmp_path).environments[ENVIRONMENT]] == [process.pid]


def test_a_longer_name_is_another_thing(tmp_path: Path, start: Start) -> None:
    start("sh", "-c", "echo; cat; :", f"/environments/{ENVIRONMENT}0")
    assert ENVIRONMENT not in look_through_processes(tmp_path).environments


def test_a_process_is_told_by_number_name_and_time(tmp_path: Path, start: Start) -> None:
    before = time.time()
    process = start("sh", "-c", "echo; cat; :", environment(tmp_path))
    (seen,) = look_through_processes(tmp_path).environments[ENVIRONMENT]
    assert (seen.pid, seen.name) == (process.pid, "sh")
    # The kernel counts in ticks of 10 ms, from a start of the machine that it rounds to seconds.
    assert before - 2 <= seen.started <= time.time() + 2


def test_processes_that_cannot_be_listed_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        look_through_processes(tmp_path, proc=tmp_path / "proc")


def test_what_a_process_keeps_to_itself_is_passed_by(tmp_path: Path) -> None:
    (tmp_path / "proc" / "17").mkdir(parents=True)
    (tmp_path / "proc" / "self").mkdir()
    assert look_through_processes(tmp_path, proc=tmp_path / "proc") == Seen()


def test_a_process_without_a_command_line_yet_is_waited_for(tmp_path: Path) -> None:
    folder = tmp_path / "proc" / "17"
    folder.mkdir(parents=True)
    (folder / "exe").symlink_to("/bin/sh")
    os.mkfifo(folder / "cmdline")
    writer = subprocess.Popen(["sh", "-c", f': >"$0"; echo /environments/{ENVIRONMENT} >"$0"', folder / "cmdline"])
    assert list(look_through_processes(tmp_path, proc=tmp_path / "proc").environments) == [ENVIRONMENT]
    writer.wait()
