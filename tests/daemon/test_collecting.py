"""A real daemon collects its store: what stays is what ``why`` says, and what went is made again when it is wanted."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from storectl_daemon.collecting.collects import read_collects, write_collects
from support.collecting import BOTH, ONE, THREE, TWO, Lived
from support.daemon import Daemon, new_daemon, until
from support.index import LoopbackIndex, serve_index


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Daemon, LoopbackIndex]]:
    """One daemon and one index for all of these tests."""
    with new_daemon() as daemon, serve_index() as index:
        yield daemon, index


@pytest.fixture
def lived(served: tuple[Daemon, LoopbackIndex], tmp_path: Path) -> Iterator[Lived]:
    """Projects below a folder of this test; afterwards nothing keeps anything of them."""
    lived = Lived(*served, tmp_path)
    yield lived
    lived.clear()


def test_a_dry_run_says_what_goes_and_takes_nothing(lived: Lived) -> None:
    lived.project("site", BOTH, ONE)
    lived.project("site", BOTH, TWO)
    would = lived.collect(dry_run=True)
    assert (would["environments"], would["entries"], would["planned"]["entries"]) == (0, 0, 1)
    assert lived.versions() == ["1", "2"]
    did = lived.collect()
    (group,) = did["planned"]["groups"]
    assert [(each["name"], each["version"]) for each in group["entries"]] == [("changed", "1")]
    assert (did["bytes"], did["inodes"]) == (would["planned"]["bytes"], would["planned"]["inodes"])
    assert (did["environments"], did["entries"], lived.versions()) == (1, 1, ["2"])
    assert lived.verified()
    assert lived.collect()["environments"] == 0


def test_what_was_collected_is_made_again_when_it_is_wanted_and_the_trash_is_emptied(lived: Lived) -> None:
    lived.project("site", BOTH, ONE)
    lived.project("site", BOTH, TWO)
    lived.collect()
    project = lived.project("site", BOTH, ONE)
    python = lived.daemon.state(project)["environment"]["python"]
    assert (
        subprocess.run([python, "-c", "import changed; print(changed.V)"], capture_output=True, check=False).stdout
        == b"1\n"
    )
    assert lived.verified()
    until(lambda: not os.listdir(lived.layout.trash))


def test_why_names_everything_that_keeps_an_entry_and_without_all_of_it_the_entry_goes(lived: Lived) -> None:
    first, second = lived.project("first", BOTH, ONE), lived.project("second", ONE)
    environment = lived.daemon.state(first)["environment"]["id"]
    lived.daemon.request("POST", "/v1/pins", {"name": "course", "environment": environment, "project": str(first)})
    lived.daemon.request(
        "POST", "/v1/links", {"path": str(first / ".venv"), "environment": environment, "force": False}
    )
    program = running(lived, first)
    every = ["current pylock.toml, current", "front .venv", 'pin pin "course"', "lease process"]
    kept_by(lived, [*every, "current pylock.toml, current"])

    end(program)
    kept_by(lived, [*every[:3], every[0]])
    lived.daemon.request("DELETE", "/v1/pins/course")
    shutil.rmtree(first / ".venv")
    kept_by(lived, [every[0], every[0]])
    lived.daemon.request("DELETE", f"/v1/projects?path={quote(str(second))}")
    lived.collect()
    kept_by(lived, [every[0]])
    lived.daemon.request("DELETE", f"/v1/projects?path={quote(str(first))}")
    assert lived.why("changed") == {"1": []}
    lived.collect()
    assert lived.versions() == []


def kept_by(lived: Lived, expected: list[str]) -> None:
    """Wait until version 1 is kept by these reasons, as far as they are given, beside those of the past.

    For a moment the compiler's processes name an entry, too.
    """

    def are_these() -> bool:
        found = lived.why("changed")["1"]
        kept = sorted(reason for reason in found if not reason.startswith(("young", "generation")))
        return len(kept) == len(expected) and all(map(str.startswith, kept, sorted(expected)))

    until(are_these)


def running(lived: Lived, project: Path) -> "subprocess.Popen[bytes]":
    """A program that runs in the environment of the project."""
    python = lived.daemon.state(project)["environment"]["python"]
    program = subprocess.Popen(
        [python, "-c", "print(1, flush=True); input(); import changed"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=lived.daemon.environ,
    )
    assert program.stdout is not None
    program.stdout.readline()
    return program


def end(program: "subprocess.Popen[bytes]") -> None:
    program.communicate(b"\n")
    assert program.returncode == 0


def test_a_program_keeps_what_it_runs_in_through_collects_and_a_restart(lived: Lived) -> None:
    project = lived.project("site", BOTH, ONE)
    program = running(lived, project)
    for wheel in (TWO, THREE):
        lived.project("site", BOTH, wheel)
        lived.collect()
    lived.restart()
    for _ in range(2):
        assert lived.collect()["planned"]["leases"] == 1
    assert lived.versions() == ["1", "3"]
    end(program)  # it imports what it had not imported before
    lived.collect()
    assert lived.versions() == ["3"]


def test_a_pin_outlives_its_project_a_restart_and_every_collect(lived: Lived) -> None:
    project = lived.project("site", BOTH, ONE)
    environment = lived.daemon.state(project)["environment"]
    pin = {"name": "thesis", "environment": environment["id"], "project": str(project)}
    lived.daemon.request("POST", "/v1/pins", pin)
    lived.daemon.request("DELETE", f"/v1/projects?path={quote(str(project))}")
    shutil.rmtree(project)
    lived.restart()
    lived.collect()
    assert lived.why(environment["id"]) == {"": ['pin pin "thesis"']}
    assert [(each["name"], each["there"]) for each in lived.daemon.get("/v1/pins")] == [("thesis", True)]
    assert subprocess.run([environment["python"], "-c", "import changed"], check=False).returncode == 0


def test_what_cannot_be_pinned_or_unpinned_is_said(lived: Lived) -> None:
    project = lived.project("site", ONE)
    pin = {"name": "a", "environment": "0" * 32, "project": str(project)}
    assert lived.daemon.problem("POST", "/v1/pins", pin)["code"] == "E_UNKNOWN_ENVIRONMENT"
    assert lived.daemon.problem("POST", "/v1/pins", pin | {"name": "../a"})["code"] == "E_REQUEST"
    assert lived.daemon.problem("DELETE", "/v1/pins/a")["code"] == "E_UNKNOWN_PIN"
    assert lived.daemon.problem("GET", "/v1/why/nothing")["code"] == "E_UNKNOWN_ENTRY"


def test_a_project_whose_folder_is_missing_is_kept_for_two_weeks(lived: Lived) -> None:
    project = lived.project("site", ONE)
    project.rename(project.with_name("elsewhere"))
    lived.collect()
    unused(lived.layout.environments)
    lived.missing_since(13)
    lived.restart()
    lived.collect()
    assert lived.versions() == ["1"]
    lived.missing_since(2)
    lived.collect()
    assert lived.versions() == []
    assert lived.daemon.get("/v1/projects") == []
    assert not lived.daemon.record(project).exists()


def unused(environments: Path) -> None:
    """Let nothing have been published or used for a long time."""
    for environment in environments.iterdir():
        for path in (environment, environment / "pyvenv.cfg"):
            os.utime(path, (0, 0))


def test_a_tool_that_is_not_used_any_more_goes_and_does_not_come_back_by_itself(lived: Lived) -> None:
    tool = lived.project(str(lived.daemon.home / ".local/state/storectl/tools/0123456789abcdef"), ONE)
    lived.collect(keep_days=1)
    assert lived.versions() == ["1"]
    lived.collect(keep_days=0)
    assert lived.versions() == []
    lived.restart()
    other = lived.project("other", TWO)  # by now the daemon has looked at all that it knows
    assert [each["path"] for each in lived.daemon.get("/v1/projects")] == [str(other)]
    assert lived.versions() == ["2"]
    assert lived.daemon.ready(tool)["wheels"] == 1


def test_only_what_one_project_had_goes_if_that_is_asked_for(lived: Lived) -> None:
    for name, wheel in (("first", ONE), ("second", THREE), ("first", TWO), ("second", TWO)):
        lived.project(name, wheel)
    assert lived.events(project="/nowhere")[-1]["problem"]["code"] == "E_UNKNOWN_PROJECT"
    lived.collect(project=str(lived.folder / "first"))
    assert lived.versions() == ["2", "3"]
    lived.collect()
    assert lived.versions() == ["2"]


class Changed(Daemon):
    """A daemon in which something is as these statements say."""

    changes = ""

    def command(self, *arguments: str) -> list[str]:
        python, option, start, *rest = super().command(*arguments)
        return [python, option, f"{self.changes}; {start}", *rest]


class WithoutWaiting(Changed):
    """For it, it is quiet at once, and it looks all the time whether to collect."""

    changes = (
        "from storectl_daemon.collecting import quiet; quiet.QUIET_S = 0; "
        "quiet.when_quiet.__kwdefaults__['seconds'] = 0.05"
    )


class WithoutLeases(Changed):
    """As on a file system without leases."""

    changes = "from storectl_daemon.collecting import in_use; in_use.leases_work = lambda folder: False"


def test_where_nobody_can_tell_whether_a_program_runs_environments_stay_unless_a_person_says_so(tmp_path: Path) -> None:
    with new_daemon(WithoutLeases) as daemon, serve_index() as index:
        lived = Lived(daemon, index, tmp_path)
        for wheel in (ONE, TWO):
            lived.project("site", BOTH, wheel)
        left = lived.collect()
        assert (left["environments"], left["entries"]) == (0, 0)
        assert "leases do not work" in left["planned"]["notes"][0]
        assert lived.collect(without_leases=True)["environments"] == 0  # it was made just now
        unused(lived.layout.environments)
        assert lived.collect(without_leases=True)["environments"] == 1
        assert lived.versions() == ["2"]
        assert daemon.get("/v1/collect")["leases"] is False


def test_the_daemon_collects_by_itself_and_the_first_time_only_reports(tmp_path: Path) -> None:
    with new_daemon(WithoutWaiting) as daemon, serve_index() as index:
        lived = Lived(daemon, index, tmp_path)
        until(lambda: read_collects(lived.layout).reported is not None)
        for wheel in (ONE, TWO):
            lived.project("site", BOTH, wheel)
        assert lived.versions() == ["1", "2"]
        write_collects(lived.layout, replace(read_collects(lived.layout), automatic=0))
        lived.restart()
        until(lambda: lived.versions() == ["2"])
        assert "collected: environments 1, entries 1, bytes" in daemon.log
        assert lived.daemon.get("/v1/collect")["last"]["entries"] == 1


def test_roots_that_cannot_be_read_stop_a_collect_before_anything_is_gone(lived: Lived) -> None:
    lived.project("site", BOTH, ONE)
    lived.project("site", BOTH, TWO)
    lived.layout.roots.mkdir(exist_ok=True)
    (lived.layout.roots / "broken").write_text("?")
    (failed,) = lived.events()
    assert failed["event"] == "failed"
    assert "broken" in failed["problem"]["detail"]
    assert "storectl env unpin broken" in failed["problem"]["hint"]
    assert lived.versions() == ["1", "2"]
    lived.daemon.request("DELETE", "/v1/pins/broken")
    lived.collect()
    assert lived.versions() == ["2"]


def test_settings_that_nobody_knows_are_an_error_with_a_hint(lived: Lived) -> None:
    settings = lived.daemon.home / ".config/storectl/config.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text("[collect]\nkeep_day = 3\n")
    (failed,) = lived.events()
    assert failed["problem"]["code"] == "E_SETTINGS"
    assert failed["problem"]["hint"] == "did you mean keep_days?"
    settings.write_text("[collect]\nkeep_days = 3\n")  # it is read at each collect
    lived.collect()
    settings.unlink()
