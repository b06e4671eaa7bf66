"""Which variables count for a project that no command has asked for just now."""

from pathlib import Path

from storectl_daemon.jobs.variables import KnownVariables

PROJECT = Path("/home/ann/project")


def test_those_of_the_last_command_count() -> None:
    known = KnownVariables("/home/ann")
    known.note(PROJECT, {"TOKEN": "one"})
    known.note(PROJECT, {"TOKEN": "two"})
    known.note(Path("/other"), {"TOKEN": "three"})
    assert known.of(PROJECT) == {"TOKEN": "two"}
    known.forget(PROJECT)
    assert "TOKEN" not in known.of(PROJECT)


def test_without_a_command_there_are_a_home_and_a_path_that_begins_with_the_project_s_python() -> None:
    known = KnownVariables("/home/ann")
    assert known.of(PROJECT) == {"HOME": "/home/ann", "PATH": "/usr/local/bin:/usr/bin:/bin"}
    found = known.of(PROJECT, python="/opt/python/bin/python3.12")
    assert found["PATH"] == "/opt/python/bin:/usr/local/bin:/usr/bin:/bin"
    assert KnownVariables(None).of(PROJECT).keys() == {"PATH"}


def test_the_oldest_of_very_many_projects_is_forgotten() -> None:
    known = KnownVariables("/home/ann")
    for number in range(600):
        known.note(Path(f"/{number}"), {"NUMBER": str(number)})
    assert "NUMBER" not in known.of(Path("/0"))
    assert known.of(Path("/599")) == {"NUMBER": "599"}
