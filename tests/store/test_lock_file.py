"""Lock files, read from disk."""

import hashlib
import os
from pathlib import Path

import pytest

from storectl_store.errors import LockFileError, NoLockFileError
from storectl_store.selection.lock_file import kind_of
from storectl_store.selection.reading import read_lock_file
from storectl_store.selection.tables import snapshot


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("uv.lock", "uv"),
        ("script.py.lock", "uv"),
        ("script.lock", "uv"),
        ("a.cgi.lock", "uv"),
        ("pylock.toml", "pylock"),
        ("pylock.dev.toml", "pylock"),
        ("requirements.txt", "requirements"),
        ("requirements-dev.txt", "requirements"),
        ("pylock.a.b.toml", None),
        ("pylock..toml", None),
        (".py.lock", None),
        ("poetry.lock", "poetry"),
        ("pdm.lock", "pdm"),
        ("pdm.dev.lock", "pdm"),
        ("Pipfile.lock", "pipfile"),
        ("Cargo.lock", None),
        ("pyproject.toml", None),
        ("requirements.in", None),
        ("my-requirements.txt", "requirements"),
        ("requirements/dev.txt", "requirements"),
        ("dev.txt", None),
    ],
)
def test_the_name_says_the_kind(name: str, kind: str | None) -> None:
    assert kind_of(Path("/project") / name) == kind


def test_a_lock_file_comes_with_its_project_file(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").write_bytes(b"version = 1\n")
    (tmp_path / "pyproject.toml").write_bytes(b"[project]\n")
    read = read_lock_file(tmp_path / "uv.lock")
    assert (read.kind, read.path, read.project) == ("uv", tmp_path / "uv.lock", tmp_path)
    assert (read.content, read.pyproject) == (b"version = 1\n", b"[project]\n")
    assert read.digest == hashlib.sha256(b"version = 1\n").hexdigest()


@pytest.mark.parametrize("name", ["run.py.lock", "run.lock"])
def test_a_script_has_no_project_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"version = 1\n")
    (tmp_path / "pyproject.toml").write_bytes(b"[project]\n")
    assert read_lock_file(tmp_path / name).pyproject is None


def test_relative_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "uv.lock").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    assert read_lock_file(Path("uv.lock")).path == tmp_path / "uv.lock"


def test_a_missing_lock_file_is_no_lock_file(tmp_path: Path) -> None:
    with pytest.raises(NoLockFileError, match="no such file"):
        read_lock_file(tmp_path / "nowhere" / "uv.lock")
    (tmp_path / "file").touch()
    with pytest.raises(NoLockFileError):
        read_lock_file(tmp_path / "file" / "uv.lock")


def test_other_names_are_refused_with_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "Cargo.lock").touch()
    with pytest.raises(LockFileError, match="not the name of a lock file") as caught:
        read_lock_file(tmp_path / "Cargo.lock")
    assert caught.value.hint
    assert "uv.lock" in caught.value.hint


def test_a_fifo_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "uv.lock")
    with pytest.raises(LockFileError, match="not a regular file"):
        read_lock_file(tmp_path / "uv.lock")
    (tmp_path / "pylock.toml").symlink_to(tmp_path / "uv.lock")
    with pytest.raises(LockFileError, match="not a regular file"):
        read_lock_file(tmp_path / "pylock.toml")


@pytest.mark.parametrize("target", ["/dev/zero", "/dev/full", "."])
def test_devices_and_folders_are_refused(tmp_path: Path, target: str) -> None:
    (tmp_path / "uv.lock").symlink_to(target)
    with pytest.raises(LockFileError):
        read_lock_file(tmp_path / "uv.lock")


def test_a_link_to_a_regular_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"version = 1\n")
    (tmp_path / "uv.lock").symlink_to("real")
    assert read_lock_file(tmp_path / "uv.lock").content == b"version = 1\n"


def test_a_link_to_itself_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").symlink_to("uv.lock")
    with pytest.raises(LockFileError, match="cannot be read"):
        read_lock_file(tmp_path / "uv.lock")


def test_the_largest_file_is_read_and_one_byte_more_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "MAX_BYTES", 100)
    (tmp_path / "uv.lock").write_bytes(b"#" * 100)
    assert len(read_lock_file(tmp_path / "uv.lock").content) == 100
    (tmp_path / "uv.lock").write_bytes(b"#" * 101)
    with pytest.raises(LockFileError, match="101 bytes, more than 100"):
        read_lock_file(tmp_path / "uv.lock")


class Meddler:
    """A read of the lock file, after which somebody writes another one over it."""

    def __init__(self, path: Path, contents: list[bytes]) -> None:
        self.path = path
        self.contents = contents
        self.read = snapshot._read_up_to

    def __call__(self, read: object, limit: int) -> bytes:
        content = self.read(read, limit)  # type: ignore[arg-type]
        if self.contents:
            other = self.path.with_name("other")
            other.write_bytes(self.contents.pop(0))
            other.replace(self.path)
        return content


def test_a_lock_file_that_changes_while_it_is_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "uv.lock"
    path.write_bytes(b"first")
    monkeypatch.setattr(snapshot, "_read_up_to", Meddler(path, [b"second", b"third"]))
    assert read_lock_file(path).content == b"third"


def test_a_lock_file_that_never_rests_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "uv.lock"
    path.write_bytes(b"first")
    monkeypatch.setattr(snapshot, "_read_up_to", Meddler(path, [b"%d" % n for n in range(99)]))
    with pytest.raises(LockFileError, match="keeps changing"):
        read_lock_file(path)


def test_requirements_come_with_all_that_they_include(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(
        "-r more/a.txt # why\n-c \\\n more/c.txt\n-e ./lib\n./other\n-r gone.txt\n"
    )
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "a.txt").write_text("-r b.txt\n-r ../requirements.txt\n")
    (tmp_path / "more" / "b.txt").write_text("# -r d.txt\n")
    (tmp_path / "more" / "c.txt").write_text("")
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "pyproject.toml").write_text("[project]\n")
    read = read_lock_file(tmp_path / "requirements.txt")
    assert set(read.included) == {
        str(tmp_path / name) for name in ("more/a.txt", "more/b.txt", "more/c.txt", "lib/pyproject.toml")
    }


def test_what_is_included_counts_for_the_digest(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("-r a.txt\n")
    digests = []
    for text in ("one", "two", "one"):
        (tmp_path / "a.txt").write_text(f"# {text}\n")
        digests.append(read_lock_file(tmp_path / "requirements.txt").digest)
    assert digests[0] == digests[2] != digests[1]


def test_only_variables_that_are_used_are_kept(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("-i https://${USER_NAME}@index.invalid/\n-r ${FILE}.txt\n# ${COMMENT}\n")
    (tmp_path / "a.txt").write_text("--extra-index-url https://${OTHER}/\n")
    variables = {"USER_NAME": "me", "FILE": "a", "OTHER": "host", "COMMENT": "x", "SECRET": "s"}
    read = read_lock_file(tmp_path / "requirements.txt", variables=variables)
    assert dict(read.variables) == {"USER_NAME": "me", "FILE": "a", "OTHER": "host"}
    assert "s" not in dict(read.variables).values()
    assert "me" not in repr(read).replace("requirements", "")


def test_too_many_included_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("-r 0.txt\n")
    for number in range(250):
        (tmp_path / f"{number}.txt").write_text(f"-r {number + 1}.txt\n")
    with pytest.raises(LockFileError, match="includes more than"):
        read_lock_file(tmp_path / "requirements.txt")
