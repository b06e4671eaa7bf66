"""Completion: what may come next, and real shells that ask for it."""

import os
import pty
import re
import select as io_select
import shutil
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from storectl.completion.locked_names import local_packages, locked_names
from storectl_store.errors import SelectionError
from storectl_store.selection.select import select
from support.client_project import ClientHome, write_program
from support.machine import STORECTL
from support.sound_lock_files import PYPROJECT, SOUND_LOCK_FILES, SoundLockFile
from support.targets import make_target

UV_LOCK = """\
version = 1

[manifest]
members = ["member", "sample"]

[[package]]
name = "member"
version = "1"
source = { editable = "packages/member" }

[package.optional-dependencies]
own = []

[[package]]
name = "sample"
version = "1"
source = { virtual = "." }

[package.optional-dependencies]
fast = [{ name = "member" }]

[package.dev-dependencies]
dev = [{ name = "member" }]
docs = []

[package.metadata]
provides-extras = ["empty", "fast"]
"""
READ_S = 30


@pytest.fixture
def project(home: ClientHome) -> ClientHome:
    """A project with extras, groups and a member, and `storectl` on PATH."""
    home.write_input("uv.lock", UV_LOCK)
    home.write_record()
    member = home.project / "packages" / "member"
    member.mkdir(parents=True)
    (member / "pyproject.toml").write_text("")
    (home.bin / "storectl").symlink_to(STORECTL)
    return home


def offered(home: ClientHome, line: str, cwd: Path | None = None, **variables: str) -> list[str]:
    """What the last word of the line, which ends at its last space, may become; the shell's own part comes first."""
    done = home.storectl("complete", "--", *line.split(" "), cwd=cwd, **variables)
    assert (done.returncode, done.stderr) == (0, "")
    return [text.partition("\t")[0] for text in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("en", ["words", "env"]),
        ("env pa", ["words", "path"]),
        ("daemon sta", ["words", "start", "status"]),
        ("env show --js", ["words", "--json"]),
        ("completion ", ["words", "bash", "zsh", "fish"]),
        ("warm --extra ", ["words", "empty", "fast"]),
        ("warm --extra=f", ["words", "fast"]),
        ("warm --extra = f", ["words", "fast"]),
        ("warm --group d", ["words", "dev", "docs"]),
        ("warm --package ", ["words", "member", "sample"]),
        ("warm ", ["folders"]),
        ("warm --lock ", ["files"]),
        ("run --no-extra e", ["words", "empty"]),
        ("run -p 3.12 --group=do", ["words", "docs"]),
        ("run --offline --group d", ["words", "dev", "docs"]),
        ("run --all-ex", ["words", "--all-extras"]),
        ("run gr", ["files", "greet"]),
        ("run --extra fast gr", ["files", "greet"]),
        ("run -- gr", ["files", "greet"]),
        ("run greet --extra ", ["files"]),
        ("run -c code ", ["files"]),
        ("run -m al", ["words", "alpha"]),
        ("run --with-requirements ", ["files"]),
        ("run --project ", ["folders"]),
        ("store show nu", ["words", "numpy"]),
        ("remove me", ["words", "member"]),
        ("upgrade sa", ["words", "sample"]),
        ("run -e to", ["words", "tools"]),
        ("run -e tools ", ["files"]),
        ("env remove ", ["words", "tools"]),
        ("nothing like this", ["words"]),
    ],
)
def test_what_comes_next_is_offered(project: ClientHome, line: str, expected: list[str]) -> None:
    (project.store / "store" / "numpy").mkdir(parents=True)
    named = project.home / ".local/state/storectl/named/tools"
    named.mkdir(parents=True)
    (named / "asked").write_text("storectl-named 1\nrequirement grin\n")
    (site,) = project.environment.glob("lib/*/site-packages")
    (site / "alpha.py").touch()
    (site / "alpha-1.0.dist-info").mkdir()
    found = offered(project, line)
    assert (found[0], sorted(found[1:])) == (expected[0], sorted(expected[1:]))


def test_every_command_is_offered_with_a_sentence_and_what_is_hidden_is_not(home: ClientHome) -> None:
    lines = home.storectl("complete", "--", "").stdout.splitlines()[1:]
    assert all(re.fullmatch(r"\S+\t.+\.", line) for line in lines), lines
    assert "complete" not in {line.partition("\t")[0] for line in lines}


def test_the_names_are_those_of_the_member_that_the_folder_is_in_or_that_is_named(project: ClientHome) -> None:
    member = project.project / "packages" / "member"
    assert offered(project, "run --extra ", cwd=member) == ["words", "own"]
    assert offered(project, "warm packages/member --extra ") == ["words", "own"]
    assert offered(project, f"run --project {member} --extra ", cwd=project.home) == ["words", "own"]


def test_pythons_are_those_of_path_and_pyenv(project: ClientHome) -> None:
    for place in (project.root / "path" / "python3.12", project.home / ".pyenv/versions/3.9.18/bin/python3.9"):
        place.parent.mkdir(parents=True)
        write_program(place, "")
    assert offered(project, "run -p ", PATH=str(project.root / "path")) == ["words", "3.9", "3.12"]


@pytest.mark.parametrize(
    "text", ["", "[[package]]\n", "[[package]]\nname = \n", '\n[[package]]\nsource = { virtual = "." }']
)
def test_of_a_broken_lock_file_nothing_is_offered(project: ClientHome, text: str) -> None:
    project.write_input("uv.lock", text)
    assert offered(project, "warm --extra ") == ["words"]
    assert offered(project, "warm --extra ", cwd=project.home) == ["words"]


@pytest.mark.parametrize("sound", SOUND_LOCK_FILES, ids=lambda sound: sound.kind)
def test_of_each_kind_of_lock_file_what_is_offered_is_what_it_knows(tmp_path: Path, sound: SoundLockFile) -> None:
    (tmp_path / sound.name).write_text(sound.content)
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    extras, groups = locked_names(str(tmp_path), str(tmp_path / sound.name), None)
    unknown = ("nothing-like-this",)
    for target, names in ((make_target(extras=unknown), extras), (make_target(groups=unknown), groups)):
        with pytest.raises(SelectionError) as error:
            select(sound.lock_file(), target)
        assert names <= set(error.value.facts.get("known", ())) | {"main"}
    assert sound.kind == "requirements" or "dev" in groups or "develop" in groups
    assert sound.kind in {"requirements", "pipfile"} or extras == {"more"}


def test_members_are_the_local_packages(project: ClientHome) -> None:
    assert local_packages(str(project.project / "uv.lock")) == {"member", "sample"}


def installed(shell: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(shell) is None, reason=f"{shell} is not installed")


def completed(home: ClientHome, command: list[str], setup: str, lines: Iterable[str]) -> list[str]:
    """Type lines with tabulators into an interactive shell: what each of them has become."""
    ours, theirs = pty.openpty()
    environ = home.environ(PATH=f"{home.bin}:{os.environ['PATH']}", TERM="dumb", HISTFILE="/dev/null")
    with subprocess.Popen(
        command, cwd=home.project, env=environ, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    ) as shell:
        os.close(theirs)
        try:
            os.write(ours, f"{setup}; echo 'set' 'up'\n".encode())
            shown(ours, "set up")
            return [_completed(ours, line) for line in lines]
        finally:
            shell.kill()
            os.close(ours)


def _completed(terminal: int, line: str) -> str:
    """After the completion the line becomes the arguments of `echo`: Ctrl-A goes to its beginning."""
    os.write(terminal, f"{line} done\x01echo 'com''pleted' \n".encode())
    return shown(terminal, " done\r\n", after="completed ")


def shown(terminal: int, expected: str, after: str = "") -> str:
    """What the terminal shows between the two texts."""
    found = re.compile(f"{re.escape(after)}(.*?){re.escape(expected)}", re.DOTALL)
    screen, end = "", time.monotonic() + READ_S
    while not (match := found.search(screen)):
        ready, _, _ = io_select.select([terminal], [], [], max(0, end - time.monotonic()))
        assert ready, f"{expected!r} did not come: {screen!r}"
        screen += os.read(terminal, 4096).decode(errors="replace")
    return match[1]


COMPLETED = {
    "storectl env pa\t": "storectl env path",
    "storectl warm --gro\tdo\t": "storectl warm --group docs",
    "storectl run --extra=fa\t": "storectl run --extra=fast",
    "storectl run gree\t": "storectl run greet",
    "storectl run greet uv.l\t": "storectl run greet uv.lock",
    "storectl warm pack\t/": "storectl warm packages/",
}


@pytest.mark.parametrize(
    ("command", "setup"),
    [
        pytest.param(
            ["bash", "--norc", "-i"], 'eval "$(storectl completion bash)"', marks=installed("bash"), id="bash"
        ),
        pytest.param(
            ["zsh", "-f", "-i"],
            'autoload -U compinit && compinit -u -D; eval "$(storectl completion zsh)"',
            marks=installed("zsh"),
            id="zsh",
        ),
        pytest.param(
            ["zsh", "-f", "-i"],
            "mkdir f; storectl completion zsh > f/_storectl; fpath=($PWD/f $fpath); autoload -U compinit && compinit -u -D",
            marks=installed("zsh"),
            id="zsh, from fpath",
        ),
    ],
)
def test_a_shell_completes_what_is_typed(project: ClientHome, command: list[str], setup: str) -> None:
    found = completed(project, command, setup, COMPLETED)
    assert [line.replace("//", "/").split() for line in found] == [line.split() for line in COMPLETED.values()]


@installed("fish")
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("storectl env pa", ["path"]),
        ("storectl warm --group d", ["dev", "docs"]),
        ("storectl run --extra=fa", ["--extra=fast"]),
        ("storectl run gree", ["greet"]),
        ("storectl run greet uv.l", ["uv.lock"]),
        ("storectl warm --lock=uv.l", ["--lock=uv.lock"]),
        ("storectl warm pack", ["packages/"]),
    ],
)
def test_fish_offers_it(project: ClientHome, line: str, expected: list[str]) -> None:
    code = f"storectl completion fish | source; complete -C '{line}'"
    environ = project.environ(PATH=f"{project.bin}:{os.environ['PATH']}")
    command = ["fish", "--no-config", "-c", code]
    done = subprocess.run(
        command, cwd=project.project, env=environ, capture_output=True, text=True, timeout=READ_S, check=True
    )
    assert [text.partition("\t")[0] for text in done.stdout.splitlines()] == expected
