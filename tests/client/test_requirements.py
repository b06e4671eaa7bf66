"""What --with and --from may name."""

from pathlib import Path

import pytest

from storectl.errors import UsageError
from storectl.locks.requirement_words import (
    absolute_requirements,
    check_requirements,
    fingerprints,
    is_address,
    is_path,
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("black", ["black"]),
        ("black[d,jupyter]>=25,<26", ["black[d,jupyter]>=25,<26"]),
        ("six,idna>=3,!=3.5,black[d,e]", ["six", "idna>=3,!=3.5", "black[d,e]"]),
        ("git+https://host/a,b", ["git+https://host/a,b"]),
        ("x @ https://host/x.whl", ["x @ https://host/x.whl"]),
    ],
)
def test_names_and_addresses_stay_as_they_are(text: str, expected: list[str]) -> None:
    assert list(absolute_requirements([text])) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (".", "{here}"),
        ("./folder", "{here}/folder"),
        ("../folder", "{above}/folder"),
        ("sub/folder", "{here}/sub/folder"),
        ("x-1.0-py3-none-any.whl", "{here}/x-1.0-py3-none-any.whl"),
        ("~/x.zip", "{here}/home/x.zip"),
        ("x[extra] @ ./a b".replace(" b", ""), "x[extra] @ file://{here}/a"),
    ],
)
def test_paths_are_those_of_the_folder_they_are_said_in(here: Path, text: str, expected: str) -> None:
    assert absolute_requirements([text]) == (expected.format(here=here, above=here.parent),)


def test_what_names_nothing_that_could_be_locked_is_told_in_one_line(here: Path) -> None:
    (here / "empty").mkdir()
    (here / "notes.txt").touch()
    for text, said in [
        ("x=>1", "'x=>1' is no requirement: "),
        ("", "'' is no requirement: "),
        ("-e .", "'-e .' is no requirement: "),
        (f"{here}/gone", f"there is no {here}/gone"),
        (f"{here}/empty", f"{here}/empty is no project: it has none of pyproject.toml, "),
        (f"{here}/notes.txt", f"{here}/notes.txt is neither a wheel nor a source archive"),
    ]:
        with pytest.raises(UsageError) as caught:
            check_requirements(absolute_requirements([text]))
        assert caught.value.message.startswith(said)
        assert "\n" not in caught.value.message
        assert caught.value.hint


def test_a_folder_is_another_one_once_its_project_changed(here: Path) -> None:
    project = here / "folder" / "pyproject.toml"
    project.parent.mkdir()
    project.write_text("a")
    before = list(fingerprints([str(project.parent), "black", "git+https://host/a"]))
    project.write_text("other")
    assert len(before) == 1
    assert list(fingerprints([str(project.parent)])) != before


def test_kinds() -> None:
    assert is_address("git+ssh://git@host/a")
    assert is_address("https://host/x.whl")
    assert not is_path("https://host/x.whl")
    assert not is_path("x @ https://host/x.whl")
    assert not is_path("black")


@pytest.mark.parametrize(
    "text",
    [
        "git+https://me:sesame@host.example/repository",
        "x @ git+https://sesame@host.example/repository@v1",
        "x @ https://me:sesame@host.example/x-1.0-py3-none-any.whl",
        "http://me:se@same@host.example/x-1.0.zip",
    ],
)
def test_a_login_in_an_address_is_refused_without_a_word_of_it(text: str) -> None:
    with pytest.raises(UsageError, match=r"the address at host\.example has a login") as raised:
        check_requirements([text])
    assert "same" not in raised.value.report()


@pytest.mark.parametrize(
    "text", ["git+ssh://git@host.example/x", "x @ https://host.example/a@b.whl", "git+https://h/x@v1"]
)
def test_what_only_looks_like_a_login_is_none(text: str) -> None:
    check_requirements([text])
