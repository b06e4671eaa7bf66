"""The history of a project: what it had, what changed, and the way back."""

import json
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support.collect_switches import NOTHING_LATELY
from support.index import LoopbackIndex
from support.machine import Machine
from support.project import git, lock_file_text, write_project
from support.wheels import WheelBytes, fresh_wheel, make_wheel

SHOW = "import alpha; print(alpha.__version__)"


class Site:
    """A project under git, whose lock file is written anew for each generation."""

    def __init__(self, machine: Machine, index: LoopbackIndex) -> None:
        self.machine, self.index = machine, index
        self.folder = machine.home / "site"
        self.wheels: dict[str, WheelBytes] = {}

    def lock(self, version: str, *more: WheelBytes) -> None:
        """Lock this version of alpha, with some more wheels."""
        wheel = self.wheels.setdefault(version, fresh_wheel("alpha", version))
        write_project(self.folder, self.index, [wheel, *more])

    def commit(self, message: str) -> None:
        if not (self.folder / ".git").exists():
            git(self.folder, "init", "-q")
        git(self.folder, "add", "-A")
        git(self.folder, "commit", "-qm", message)

    def generation(self, version: str, *more: WheelBytes) -> None:
        self.lock(version, *more)
        self.commit(version)
        self.machine.ok("warm", cwd=self.folder)

    def ok(self, *arguments: str) -> str:
        return self.machine.ok(*arguments, cwd=self.folder)

    def fails(self, *arguments: str) -> str:
        done = self.machine.run(*arguments, cwd=self.folder)
        assert done.returncode == 1, done
        return done.stderr

    def version(self, *options: str) -> str:
        return self.ok("run", *options, "-c", SHOW).strip()

    def history(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.ok("env", "history", "--json"))
        return found

    def lose(self, *, version: str | None = None) -> None:
        """All environments go, as a collect would take them, and the entry of this version; the daemon is stopped."""
        self.machine.stop()
        store = self.machine.store
        lost = [*(store / "environments").iterdir()]
        if version is not None:
            digest = self.wheels[version].hexdigest
            lost.append(store / "store/alpha" / digest[:32])
            for file in (store / "meta").glob(f"{digest}.*"):
                file.unlink()
        for folder in lost:
            for path in [folder, *folder.rglob("*")]:
                if path.is_dir() and not path.is_symlink():
                    path.chmod(path.stat().st_mode | stat.S_IRWXU)
            shutil.rmtree(folder)


@pytest.fixture
def site(machine: Machine, index: LoopbackIndex) -> Site:
    return Site(machine, index)


def test_a_history_tells_when_where_and_what_changed(site: Site) -> None:
    site.generation("1.0", make_wheel("beta"))
    git(site.folder, "checkout", "-qb", "späte/idee")
    site.generation("2.0", make_wheel("gamma"))
    first, second = site.history()["generations"]
    assert (first["number"], first["branch"], first["wheels"], first["changes"]) == (1, "main", 2, None)
    assert (second["number"], second["branch"]) == (2, "späte/idee")
    assert second["commit"] == git(site.folder, "rev-parse", "HEAD").strip()
    assert {change["name"]: bool(change["before"]) + 2 * bool(change["after"]) for change in second["changes"]} == {
        "alpha": 3,
        "beta": 1,
        "gamma": 2,
    }
    newest, oldest = site.ok("env", "history").splitlines()
    assert newest.startswith("*  2  today ")
    assert newest.endswith("3 changed: alpha 1.0 -> 2.0, -beta, +gamma 1.0")
    assert oldest.endswith("2 wheels")


def test_a_rollback_is_what_programs_run_in_until_the_lock_file_changes(site: Site) -> None:
    site.generation("1.0")
    site.generation("2.0")
    site.ok("link")
    before = site.history()["generations"]
    assert "in generation 1 of " in site.ok("env", "rollback")
    assert site.version() == site.version("--offline") == "1.0"
    assert site.version("--frozen") == "1.0"
    python = site.folder / ".venv/bin/python"
    assert site.machine.ok("run", "-c", SHOW, cwd=site.folder).strip() == "1.0"
    assert _output(python, SHOW) == "1.0"
    assert "warning: in generation 1" in site.machine.run("run", "-c", SHOW, cwd=site.folder).stderr
    refused = site.machine.run("run", "--with", "beta", "-c", SHOW, cwd=site.folder)
    assert (refused.returncode, "is rolled back to an earlier environment" in refused.stderr) == (2, True)
    exported = site.machine.run("env", "export", str(site.machine.home / "exported"), cwd=site.folder)
    assert "warning: in generation 1" in exported.stderr
    assert git(site.folder, "status", "--porcelain") == ""
    assert site.history() | {"rolled_back": None} == {
        "project": str(site.folder), "current": 2, "rolled_back": None, "generations": before,
    }  # fmt: skip
    assert [line[:4] for line in site.ok("env", "history").splitlines()] == ["   2", "*  1"]

    site.lock("3.0")
    assert site.version() == "3.0"
    assert site.history()["rolled_back"] is None
    site.lock("2.0")
    assert site.version() == "2.0"


def test_a_rollback_holds_after_a_restart_and_ends_with_off(site: Site) -> None:
    site.generation("1.0")
    site.generation("2.0")
    site.ok("env", "rollback", "1")
    site.ok("daemon", "stop")
    assert site.version() == "1.0"
    site.ok("warm")
    assert site.version() == "1.0"
    assert "not in that of" not in site.ok("env", "rollback", "--off")
    assert site.version() == "2.0"
    site.ok("env", "rollback", "2")  # it is the lock file's own
    assert site.history()["rolled_back"] is None


def test_a_project_whose_lock_file_is_broken_can_be_rolled_back(site: Site) -> None:
    site.generation("1.0")
    site.generation("2.0")
    (site.folder / "uv.lock").write_text("<<<<<<< ours\n")
    site.fails("warm")
    for number, version in (("2", "2.0"), ("1", "1.0")):
        site.ok("env", "rollback", number)
        assert site.version() == version


def test_the_lock_file_of_a_generation_can_be_written_back(site: Site) -> None:
    site.generation("1.0")
    then = (site.folder / "uv.lock").read_bytes()
    (site.folder / "uv.lock").chmod(0o640)
    site.generation("2.0")
    site.ok("env", "rollback")
    assert site.version() == "1.0"
    assert "not in that of" not in site.ok("env", "rollback", "2", "--lock")  # as it is: that ends the rollback
    assert site.version() == "2.0"
    site.ok("env", "rollback", "--lock")
    assert (site.folder / "uv.lock").read_bytes() == then
    assert stat.S_IMODE((site.folder / "uv.lock").stat().st_mode) == 0o640
    assert site.version() == "1.0"
    assert git(site.folder, "status", "--porcelain") == " M uv.lock\n"
    assert site.history()["rolled_back"] is None


def test_a_generation_whose_environment_is_gone_is_made_again_of_the_same_wheels(site: Site) -> None:
    site.generation("1.0")
    site.generation("2.0")
    first = site.history()["generations"][0]
    site.lose()
    assert "to be made again, nothing has to be fetched" in site.ok("env", "history").splitlines()[1]
    requests = sum(site.index.requests.values())
    site.ok("env", "rollback", "1", "--offline")
    assert site.version() == "1.0"
    assert sum(site.index.requests.values()) == requests
    assert site.history()["generations"][0] == first


def test_a_generation_whose_wheels_are_gone_says_what_is_missing_and_is_fetched_if_it_may_be(site: Site) -> None:
    site.machine.environ |= NOTHING_LATELY
    site.generation("1.0")
    site.generation("2.0")
    site.ok("store", "collect", "--keep-generations", "1")
    assert site.history()["generations"][0]["missing"] == ["alpha 1.0"]
    assert "wheels are gone: alpha 1.0" in site.ok("env", "history")
    said = site.fails("env", "rollback", "1", "--offline")
    assert "E_OFFLINE" in said
    assert "alpha 1.0" in said
    assert site.version() == "2.0"
    site.ok("env", "rollback", "1")
    assert site.version() == "1.0"


def test_each_of_the_last_ten_generations_rolls_back_offline(site: Site) -> None:
    versions = [f"{number}.0" for number in range(1, 11)]
    for version in versions:
        site.generation(version)
    site.lose()
    for number, version in enumerate(versions[:-1], 1):
        site.ok("env", "rollback", str(number), "--offline")
        assert site.version("--offline") == version


def test_a_generation_is_made_again_of_every_file_that_it_was_made_of(site: Site) -> None:
    one, two = (fresh_wheel("alpha", version) for version in ("1.0", "2.0"))
    site.wheels = {"1.0": one, "2.0": two}
    site.index.add(one, two)
    site.folder.mkdir()
    (site.folder / "requirements.txt").write_text("-r base.txt\n")
    for wheel in (one, two):
        (site.folder / "base.txt").write_text(lock_file_text("requirements.txt", site.index, [wheel]))
        site.ok("warm")
    (site.folder / "requirements.txt").write_text("-r other.txt\n")
    (site.folder / "base.txt").rename(site.folder / "other.txt")
    site.ok("warm")
    site.lose(version="1.0")
    site.ok("env", "rollback", "1")
    assert site.version() == "1.0"


def test_two_generations_refs_and_lock_files_are_compared(site: Site) -> None:
    site.generation("1.0", make_wheel("beta"))
    git(site.folder, "tag", "v1")
    old = Path(shutil.copy(site.folder / "uv.lock", site.machine.home / "uv.lock"))
    site.generation("2.0", make_wheel("gamma"))
    requests = sum(site.index.requests.values())
    changes = {"alpha", "beta", "gamma"}
    for sides in ((), ("1",), ("1", "2"), ("v1",), ("HEAD~1", "HEAD"), ("v1", "2"), (str(old), "2")):
        found = json.loads(site.ok("env", "diff", *sides, "--json"))
        assert {change["name"] for change in found["changes"]} == changes, sides
        assert (found["before"]["wheels"], found["after"]["wheels"]) == (2, 2)
    backwards = json.loads(site.ok("env", "diff", "2", "v1", "--json"))["changes"]
    assert {change["name"]: change["before"] and change["before"]["version"] for change in backwards} == {
        "alpha": "2.0", "beta": None, "gamma": "1.0",
    }  # fmt: skip
    assert site.ok("env", "diff", "v1", "HEAD").splitlines()[-1] == "1 changed, 1 added, 1 removed, 0 the same"
    assert sum(site.index.requests.values()) == requests


def test_what_is_not_there_is_said_in_a_line(site: Site) -> None:
    site.generation("1.0")
    assert "E_UNKNOWN_GENERATION: there is no generation 7 of " in site.fails("env", "rollback", "7")
    assert "had no other environment before this one" in site.fails("env", "rollback")
    assert "E_GIT_REF: nowhere is no ref" in site.fails("env", "diff", "nowhere", "1")
    git(site.folder, "commit", "-q", "--allow-empty", "-m", "empty")
    git(site.folder, "rm", "-q", "--cached", "uv.lock", "pyproject.toml")
    git(site.folder, "commit", "-qm", "without a lock file")
    assert "E_GIT_REF: HEAD has no lock file" in site.fails("env", "diff", "HEAD")
    assert site.machine.run("env", "rollback", "1", "--off", cwd=site.folder).returncode == 2


def test_options_have_a_history_of_their_own_and_additions_have_none(site: Site) -> None:
    site.generation("1.0")
    site.index.add(fresh_wheel("delta"))
    site.generation("2.0")
    assert len(site.history()["generations"]) == 2
    site.ok("warm", "--no-default-groups")
    found = json.loads(site.ok("env", "history", "--no-default-groups", "--json"))
    assert [generation["number"] for generation in found["generations"]] == [1]
    assert len(site.history()["generations"]) == 2


def test_a_damaged_history_is_found_and_mended_and_the_rest_of_it_stays(site: Site) -> None:
    site.generation("1.0")
    site.generation("2.0")
    record = site.machine.record(site.folder)
    first, second = sorted((record / "history.d").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    first.write_bytes(b"damaged")
    history = (record / "history").read_bytes()
    (record / "history").write_bytes(b"no line of ours\n" + history)
    said = site.machine.run("store", "verify", "--json", cwd=site.folder)
    assert said.returncode == 1
    assert {finding["kind"] for finding in json.loads(said.stdout)["findings"]} == {"history"}
    site.ok("store", "verify", "--repair")
    site.ok("store", "verify")
    assert [generation["kept"] for generation in site.history()["generations"]] == [False, True]
    assert (record / "history.d").exists()
    assert second.exists()
    assert site.ok("env", "rollback", "1")
    assert site.version() == "1.0"


def test_the_history_goes_with_the_project(site: Site) -> None:
    site.generation("1.0")
    record = site.machine.record(site.folder)
    assert (record / "history").exists()
    site.ok("watch", "remove")
    assert not record.exists()


def _output(python: Path, code: str) -> str:
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
