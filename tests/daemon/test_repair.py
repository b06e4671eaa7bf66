"""Repair through the API: fetched again by digest, withdrawn if that cannot be, and never served once it was found."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from storectl_shim.shortcuts import shortcut_path
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.provenance import kept_variables_key
from storectl_store.projects.project_record import record_problem
from support.daemon import Daemon, until
from support.index import LoopbackIndex, serve_index
from support.lock_files import requirements_text, uv_lock_text
from support.project import write_project
from support.wheels import WheelBytes, make_wheel

ALPHA = make_wheel("alpha", "1.0", files={"alpha/__init__.py": "X = 1\n", "alpha/more.py": "Y = 2\n"})
BETA = make_wheel("beta", "2.0")
MORE = "site-packages/alpha/more.py"


@pytest.fixture
def index() -> Iterator[LoopbackIndex]:
    with serve_index(ALPHA, BETA) as index:
        yield index


@pytest.fixture
def project(tmp_path: Path, index: LoopbackIndex) -> Path:
    return write_project(tmp_path.resolve() / "project", index, [ALPHA, BETA])


class Place:
    """A running daemon and the environment of a project."""

    def __init__(self, daemon: Daemon, project: Path) -> None:
        self.daemon = daemon
        self.project = project
        daemon.start()
        environment = daemon.ready(project)
        self.environment, self.id = Path(environment["path"]), environment["id"]
        self.layout = StoreLayout(daemon.store)
        until((daemon.record(project) / "fast.default/environment").exists)

    def entry(self, wheel: WheelBytes) -> Path:
        return self.daemon.store / "store" / wheel.name / wheel.hexdigest[:32]

    def manifest(self, wheel: WheelBytes) -> Path:
        return self.daemon.store / "meta" / f"{wheel.hexdigest}.json"

    def events(self, **options: Any) -> list[dict[str, Any]]:
        status, _, body = self.daemon.request("POST", "/v1/verify", options or None)
        assert status == 200, body
        return [json.loads(line) for line in body.splitlines()]

    def found(self) -> list[tuple[str, str]]:
        return [(event["kind"], event["path"]) for event in self.events() if event["event"] == "finding"]

    def repaired(self, **options: Any) -> dict[str, Any]:
        """The last event of a repair after which nothing is found."""
        done = self.events(repair=True, **options)[-1]
        assert self.found() == []
        return done

    def serves_map(self) -> bool:
        return self.daemon.request("GET", f"/v1/environments/{self.id}/import-map")[0] == 200


@pytest.fixture
def place(daemon: Daemon, project: Path) -> Place:
    return Place(daemon, project)


def overwrite(path: Path, content: bytes) -> None:
    mode = path.stat().st_mode
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(mode)


def remove(path: Path) -> None:
    path.parent.chmod(0o755)
    path.unlink()
    path.parent.chmod(0o555)


def test_a_verification_without_repair_changes_nothing(place: Place) -> None:
    overwrite(place.entry(ALPHA) / MORE, b"Y = 3\n")
    assert place.found() == [("entry", MORE)]
    assert place.found() == [("entry", MORE)]
    assert not list(place.layout.quarantine.iterdir())


def test_a_damaged_entry_is_fetched_again_by_digest(place: Place, index: LoopbackIndex) -> None:
    overwrite(place.entry(ALPHA) / MORE, b"Y = 3\n")
    before = index.file_requests
    assert place.repaired() == {"event": "done", "entries": 2, "findings": 1, "mended": 1, "left": 0}
    assert index.file_requests == before + 1
    assert (place.entry(ALPHA) / MORE).read_bytes() == b"Y = 2\n"
    assert (place.environment / "bin/python").exists()


def test_an_entry_of_no_project_is_fetched_from_where_an_index_said_it_is(
    place: Place, index: LoopbackIndex, tmp_path: Path
) -> None:
    gamma = make_wheel("gamma")
    index.add(gamma)
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "requirements.txt").write_text(f"--index-url {index.url}\n{requirements_text([gamma])}")
    place.daemon.ready(folder)
    status, _, _ = place.daemon.request("DELETE", f"/v1/projects?path={folder}")
    assert status == 204
    remove(place.entry(gamma) / "site-packages/gamma/__init__.py")
    assert place.repaired()["mended"] == 1
    assert (place.entry(gamma) / "site-packages/gamma/__init__.py").exists()


def test_offline_it_says_what_is_missing_and_nothing_damaged_is_served(place: Place, index: LoopbackIndex) -> None:
    overwrite(place.entry(ALPHA) / MORE, b"Y = 3\n")
    assert place.serves_map()
    before = index.requests.total()
    left = next(event for event in place.events(repair=True, offline=True) if event["event"] == "left")
    assert index.requests.total() == before
    assert left["problem"]["code"] == "E_LOST"
    assert "alpha 1.0" in left["problem"]["detail"]
    assert str(place.project) in left["problem"]["hint"]
    assert not place.serves_map()
    assert not place.environment.exists()
    assert not place.entry(ALPHA).exists()
    (aside,) = place.layout.quarantine.glob(f"*/{place.entry(ALPHA).name}")
    assert (aside / MORE).read_bytes() == b"Y = 3\n"
    assert place.daemon.ready(place.project)["id"] == place.id
    assert place.found() == []


def test_a_lost_manifest_never_costs_an_entry_that_an_environment_shows(place: Place, index: LoopbackIndex) -> None:
    (process,) = place.daemon.processes
    process.kill()
    process.wait()
    place.manifest(ALPHA).unlink()
    place.manifest(BETA).write_bytes(b"{")
    place.daemon.start()
    assert (place.entry(ALPHA) / MORE).read_bytes() == b"Y = 2\n"
    assert {kind for kind, _ in place.found()} == {"entry"}
    index.wheels.clear()
    done = place.events(repair=True)[-1]
    assert done["left"] == 2
    assert (place.entry(ALPHA) / MORE).read_bytes() == b"Y = 2\n"
    assert (place.environment / "bin/python").exists()
    index.add(ALPHA, BETA)
    assert place.repaired()["left"] == 0


def test_a_thorough_warm_makes_a_broken_manifest_anew(place: Place) -> None:
    place.manifest(ALPHA).write_bytes(b"{")
    assert place.daemon.ready(place.project, thorough=True)["id"] == place.id
    assert place.found() == []


@pytest.mark.parametrize("path", ["environment.json", "import-map", "bin/python", "pyvenv.cfg"])
def test_a_warm_makes_an_environment_anew_that_lacks_what_a_start_needs(place: Place, path: str) -> None:
    remove(place.environment / path)
    assert place.daemon.ready(place.project)["id"] == place.id
    assert place.found() == []


def test_a_warm_fetches_an_entry_again_whose_folder_is_gone(place: Place, tmp_path: Path) -> None:
    until(lambda: len(list(place.layout.meta.glob("*.pyc.json"))) == 2)
    place.entry(ALPHA).chmod(0o755)
    place.entry(ALPHA).rename(tmp_path / "gone")
    assert place.daemon.ready(place.project)["id"] == place.id
    assert (place.entry(ALPHA) / MORE).exists()
    assert place.found() == []


def test_a_thorough_warm_finds_the_one_file_that_is_gone(place: Place) -> None:
    remove(place.entry(ALPHA) / MORE)
    *_, warning, ready = place.daemon.warm(place.project, thorough=True)
    assert ready["event"] == "ready"
    assert "entry alpha 1.0 was damaged" in warning["message"]
    assert (place.entry(ALPHA) / MORE).exists()


def test_a_thorough_warm_with_nothing_to_do_says_only_that_it_is_ready(place: Place) -> None:
    place.daemon.ready(place.project, thorough=True)
    assert [event["event"] for event in place.daemon.warm(place.project, thorough=True)] == ["ready"]
    (place.environment / "lib").chmod(0o755)
    (place.environment / "lib" / "intruder").touch()
    *_, warning, _ = place.daemon.warm(place.project, thorough=True)
    assert "was damaged" in warning["message"]


def test_a_thorough_warm_offline_says_what_is_missing(place: Place) -> None:
    remove(place.entry(ALPHA) / MORE)
    last = place.daemon.warm(place.project, thorough=True, offline=True)[-1]
    assert last["event"] == "failed"
    assert (last["problem"]["code"], "alpha 1.0" in last["problem"]["detail"]) == ("E_OFFLINE", True)


def test_what_root_put_into_an_environment_is_found_and_taken_out(place: Place) -> None:
    (site,) = place.environment.glob("lib/python*/site-packages")
    site.chmod(0o755)
    (site / "intruder.py").write_text("")
    site.chmod(0o555)
    relative = os.path.relpath(site / "intruder.py", place.environment)
    assert place.found() == [("environment", relative)]
    place.repaired()
    assert not (site / "intruder.py").exists()


def test_a_damaged_map_that_is_held_in_memory_is_not_served_after_it_was_found(place: Place) -> None:
    import_map = place.environment / "import-map"
    right = import_map.read_bytes()
    overwrite(import_map, right[:-1] + bytes([right[-1] ^ 1]))
    _, _, served = place.daemon.request("GET", f"/v1/environments/{place.id}/import-map")
    assert served != right
    place.repaired()
    assert place.daemon.request("GET", f"/v1/environments/{place.id}/import-map")[2] == right


def test_damaged_records_and_books_are_written_again(place: Place) -> None:
    record = place.daemon.record(place.project)
    fast = record / "fast.default/environment"
    before = fast.read_bytes()
    fast.write_text("/nowhere\n")
    (place.daemon.store / "projects.json").write_text("{")
    assert place.repaired()["mended"] == 2
    until(fast.exists)
    assert fast.read_bytes() == before
    assert record_problem(record) is None
    assert place.daemon.state(place.project)["environment"]["id"] == place.id


def test_a_lost_book_of_projects_is_made_of_the_records(place: Place) -> None:
    (process,) = place.daemon.processes
    process.kill()
    process.wait()
    (place.daemon.store / "projects.json").write_text("{")
    place.daemon.start()
    assert place.daemon.state(place.project)["environment"]["id"] == place.id


def test_a_broken_catalogue_is_built_again_while_the_daemon_has_it_open(place: Place) -> None:
    for name in ("index.db", "index.db-wal"):
        (place.daemon.store / name).write_bytes(b"nonsense" * 1000)
    place.repaired()
    assert [entry["name"] for entry in place.daemon.get("/v1/entries")] == ["alpha", "beta"]


def test_the_lock_of_the_writer_and_the_version_are_written_again(place: Place) -> None:
    (place.daemon.store / "lock").write_text("1\n")
    (place.daemon.store / "VERSION").write_text("storectl store 3\n")
    assert {path for kind, path in place.found() if kind == "store"} == {"VERSION", "lock"}
    place.repaired()
    (process,) = place.daemon.processes
    assert (place.daemon.store / "lock").read_text() == f"{process.pid}\n"
    second = place.daemon.spawn()
    assert second.wait() == 3


def test_a_damaged_key_of_variables_is_set_aside(place: Place) -> None:
    key = kept_variables_key(place.layout)
    place.layout.variables_key.write_bytes(bytes([key[0] ^ 1]) + key[1:])
    assert place.found() == [("note", "variables.key")]
    place.repaired()
    assert kept_variables_key(place.layout) != key


def test_a_damaged_shortcut_is_set_aside(place: Place) -> None:
    file = Path(shortcut_path(str(place.daemon.store), str(place.project), "python=3.12"))
    file.parent.mkdir(parents=True)
    file.write_text("damaged\n")
    name = file.relative_to(place.daemon.store).as_posix()
    assert place.found() == [("note", name)]
    assert place.repaired()["mended"] == 1
    assert not file.exists()


def test_an_entry_that_was_only_changed_in_mode_needs_no_network(place: Place, index: LoopbackIndex) -> None:
    (place.entry(ALPHA) / MORE).chmod(0o666)
    index.wheels.clear()
    assert place.repaired(offline=True)["mended"] == 1


def test_bytecode_is_compiled_again(place: Place) -> None:
    side = place.layout.meta
    until(lambda: len(list(side.glob("*.pyc.json"))) == 2)
    bytecode = next((place.entry(ALPHA) / "site-packages/alpha/__pycache__").glob("more.*.pyc"))
    right = bytecode.read_bytes()
    overwrite(bytecode, right[:-1] + bytes([right[-1] ^ 1]))
    assert [kind for kind, _ in place.found()] == ["entry"]
    place.repaired()
    assert bytecode.read_bytes() == right


def test_the_url_of_a_lock_file_that_changed_is_not_needed_by_what_other_branches_use(
    place: Place, index: LoopbackIndex
) -> None:
    newer = make_wheel("alpha", "2.0")
    index.add(newer)
    (place.project / "uv.lock").write_text(uv_lock_text(index, [newer, BETA]))
    assert place.daemon.ready(place.project)["id"] != place.id
    overwrite(place.entry(ALPHA) / MORE, b"Y = 3\n")
    done = place.repaired()
    assert (done["mended"], done["left"]) == (1, 0)
    assert not place.entry(ALPHA).exists() or (place.entry(ALPHA) / MORE).read_bytes() == b"Y = 2\n"
    assert not place.environment.exists() or place.entry(ALPHA).exists()


def test_an_entry_without_manifest_that_nothing_shows_is_found_and_set_aside(place: Place) -> None:
    stranger = place.layout.entries / "gone" / ("0" * 32)
    (stranger / "site-packages").mkdir(parents=True)
    assert place.found() == [("entry", ".")]
    assert place.repaired()["mended"] == 1
    assert not stranger.exists()
