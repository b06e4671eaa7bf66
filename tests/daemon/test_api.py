import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from storectl_daemon.serving.bodies import BODY_BYTES
from support.daemon import Daemon, UnixConnection, new_daemon, until
from support.index import LoopbackIndex, serve_index
from support.lock_files import pylock_text
from support.wheels import make_wheel

GOLDEN = Path(__file__).parent.parent / "golden" / "openapi.json"
ALPHA = make_wheel("alpha")
BETA = make_wheel("beta", "2.0")


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """One daemon for all tests here: each uses a project of its own."""
    with new_daemon() as daemon:
        daemon.start()
        yield daemon


@pytest.fixture(scope="module")
def index() -> Iterator[LoopbackIndex]:
    with serve_index(ALPHA, BETA) as index:
        yield index


@pytest.fixture
def project(tmp_path: Path, index: LoopbackIndex) -> Path:
    (tmp_path / "pylock.toml").write_text(pylock_text(index, [ALPHA, BETA]))
    return tmp_path


def test_health_is_the_handshake(daemon: Daemon) -> None:
    health = daemon.get("/v1/health")
    assert health["status"] == "ok"
    assert health["pid"] == daemon.processes[0].pid
    assert health["api"]["version"] == 1
    assert {"warm", "import-map", "link"} <= set(health["api"]["features"])
    assert health["store"] == str(daemon.store)
    assert health["socket"] == str(daemon.socket)
    assert health["rss_bytes"] > 1 << 20
    assert health["uptime_s"] >= 0


def test_the_document_of_the_api_is_the_golden_one(daemon: Daemon) -> None:
    document = daemon.get("/v1/openapi.json")
    text = json.dumps(document, indent=1, sort_keys=True) + "\n"
    assert text == GOLDEN.read_text(), "the API changed: write the new document to tests/golden/openapi.json on purpose"


@pytest.mark.parametrize("path", ["/v2/health", "/v0/warm", "/v12", "/v2/environments/x/import-map"])
def test_another_version_is_told_by_its_code(daemon: Daemon, path: str) -> None:
    problem = daemon.problem("GET", path)
    assert (problem["status"], problem["code"]) == (404, "E_API_VERSION")
    assert problem["hint"]


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/nothing", "/v1/health/", "/docs", "/vx/health"])
def test_what_is_not_there_is_a_problem(daemon: Daemon, path: str) -> None:
    problem = daemon.problem("GET", path)
    assert (problem["status"], problem["code"]) == (404, "E_NOT_FOUND")


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/v1/health"), ("GET", "/v1/warm"), ("POST", f"/v1/environments/{'0' * 32}/import-map")],
)
def test_a_wrong_method_is_a_problem(daemon: Daemon, method: str, path: str) -> None:
    problem = daemon.problem(method, path)
    assert (problem["status"], problem["code"]) == (405, "E_REQUEST")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'{"start": NaN}',
        b'{"start": "/x", "extras": [Infinity]}',
        b'{"start": "/\\ud800"}',
        b'{"start": "/x", "\\ud800": 1}',
        b'{"start": ' + b"[" * 500 + b"]" * 500 + b"}",
        b'{"start": "relative"}',
        b'{"start": "/x\\u0000y"}',
        b'{"start": "/x", "unknown": 1}',
        b'{"start": "/x", "extras": [""]}',
        b'{"start": "/x", "python": "\\u001b[31m"}',
        b'{"start": "/x", "default_groups": "perhaps"}',
        b'{"start": "' + b"/x" * 5000 + b'"}',
    ],
    ids=range(16),
)
def test_a_body_that_makes_no_sense_is_unprocessable(daemon: Daemon, body: bytes) -> None:
    problem = daemon.problem("POST", "/v1/warm", raw=body)
    assert (problem["status"], problem["code"]) == (422, "E_REQUEST")
    assert "\x1b" not in problem["detail"]


@pytest.mark.parametrize(
    "body", [b"\xff", b"[" * 100_000 + b"]" * 100_000, b"9" * 10_000], ids=["no text", "too deep", "too long a number"]
)
@pytest.mark.parametrize("path", ["/v1/warm", "/v1/projects"])
def test_a_body_that_cannot_be_read_is_a_bad_request(daemon: Daemon, path: str, body: bytes) -> None:
    problem = daemon.problem("POST", path, raw=body)
    assert (problem["status"], problem["code"]) == (400, "E_REQUEST")


def test_a_body_that_is_too_large_is_refused(daemon: Daemon) -> None:
    problem = daemon.problem("POST", "/v1/warm", raw=b" " * (BODY_BYTES + 1))
    assert (problem["status"], problem["code"]) == (413, "E_REQUEST")


@pytest.mark.parametrize("query", ["", "?path=", "?path=x", "?path=/x%00y", "?path=" + "/x" * 4000])
def test_a_query_without_a_possible_path_is_unprocessable(daemon: Daemon, query: str) -> None:
    problem = daemon.problem("GET", f"/v1/projects/state{query}")
    assert (problem["status"], problem["code"]) == (422, "E_REQUEST")


@pytest.mark.parametrize("query", ["?path=/%ff", "?path=/nowhere/at/all"])
def test_a_folder_in_no_project_is_unknown(daemon: Daemon, query: str) -> None:
    for method, path in (("GET", f"/v1/projects/state{query}"), ("DELETE", f"/v1/projects{query}")):
        problem = daemon.problem(method, path)
        assert (problem["status"], problem["code"]) == (404, "E_UNKNOWN_PROJECT")


def test_warm_tells_every_phase_and_ends_with_the_environment(daemon: Daemon, project: Path) -> None:
    events = daemon.warm(project)
    assert {event["event"] for event in events} <= {"progress", "ready"}
    environment = events[-1]["environment"]
    assert environment["path"] == str(daemon.store / "environments" / environment["id"])
    assert environment["python"] == environment["path"] + "/bin/python"
    assert (environment["project"], environment["lock_file"]) == (str(project), str(project / "pylock.toml"))
    assert environment["wheels"] == 2
    assert environment["interpreter"].keys() == {"executable", "version"}


def test_warm_of_a_folder_without_a_lock_file_fails_with_a_hint(daemon: Daemon, tmp_path: Path) -> None:
    problem = daemon.failed(tmp_path)
    assert problem["code"] == "E_NO_LOCK"
    assert str(tmp_path) in problem["detail"]
    assert problem["hint"]


def test_a_registered_project_is_warmed_and_found_from_inside(daemon: Daemon, project: Path) -> None:
    (project / "src").mkdir()
    (project / ".venv").symlink_to(daemon.store / "environments" / ("0" * 32))
    status, _, body = daemon.request("POST", "/v1/projects", {"path": str(project / "src"), "link": ".venv"})
    assert status == 200
    assert json.loads(body)["path"] == str(project)
    until(lambda: daemon.state(project / "src")["state"] == "ready")
    until(lambda: daemon.state(project)["watched"])
    state = daemon.state(project)
    assert state["lock_file"] == str(project / "pylock.toml")
    assert state["problem"] is None
    (link,) = daemon.get(f"/v1/links?path={project}")
    assert (link["path"], link["environment"]) == (str(project / ".venv"), state["environment"]["path"])
    assert state in daemon.get("/v1/projects")


def test_a_removed_project_is_unknown_and_its_record_gone(daemon: Daemon, project: Path) -> None:
    environment = daemon.ready(project)
    assert (daemon.record(project) / "ready.default").exists()
    assert daemon.request("DELETE", f"/v1/projects?path={quote(str(project))}")[0] == 204
    assert daemon.problem("GET", f"/v1/projects/state?path={quote(str(project))}")["code"] == "E_UNKNOWN_PROJECT"
    assert not daemon.record(project).exists()
    assert Path(environment["python"]).exists()


@pytest.mark.parametrize("link", ["", ".", "..", "a/b", "/x", "a\0b"])
def test_a_link_is_a_name_inside_the_project(daemon: Daemon, project: Path, link: str) -> None:
    problem = daemon.problem("POST", "/v1/projects", {"path": str(project), "link": link})
    assert (problem["status"], problem["code"]) == (422, "E_REQUEST")


def test_environments_are_listed_with_a_project_that_uses_them(daemon: Daemon, project: Path) -> None:
    environment = daemon.ready(project)
    listed = {info["id"]: info for info in daemon.get("/v1/environments")}
    assert listed[environment["id"]]["wheels"] == 2
    assert daemon.get(f"/v1/environments/{environment['id']}") == listed[environment["id"]]


@pytest.mark.parametrize("suffix", ["", "/import-map"])
@pytest.mark.parametrize("name", ["0" * 32, "x", "..%2f..", "%00", "%2e%2e"])
def test_an_unknown_environment_is_a_problem(daemon: Daemon, name: str, suffix: str) -> None:
    problem = daemon.problem("GET", f"/v1/environments/{name}{suffix}")
    assert problem["status"] == 404
    assert problem["code"] in {"E_UNKNOWN_ENVIRONMENT", "E_NOT_FOUND"}


def test_the_import_map_is_the_published_file(daemon: Daemon, project: Path) -> None:
    environment = daemon.ready(project)
    published = (Path(environment["path"]) / "import-map").read_bytes()
    for _ in range(2):
        status, headers, body = daemon.request("GET", f"/v1/environments/{environment['id']}/import-map")
        assert (status, headers["content-type"]) == (200, "application/octet-stream")
        assert headers["content-length"] == str(len(published))
        assert body == published


def test_entries_are_listed_and_shown(daemon: Daemon, project: Path) -> None:
    daemon.ready(project)
    listed = {entry["name"]: entry for entry in daemon.get("/v1/entries")}
    alpha = listed["alpha"]
    assert (alpha["version"], alpha["digest"], alpha["filename"]) == ("1.0", ALPHA.digest, ALPHA.filename)
    assert alpha["prefix"] == ALPHA.hexdigest[:32]
    shown = daemon.get(f"/v1/entries/{alpha['prefix']}")
    assert shown.items() >= alpha.items()
    assert shown["tags"] == ["py3-none-any"]
    assert shown["files"] == 5
    assert shown["path"] == str(daemon.store / "store/alpha" / alpha["prefix"])


@pytest.mark.parametrize("prefix", ["0" * 32, "x", ALPHA.hexdigest[:31], ALPHA.hexdigest])
def test_an_entry_is_known_by_its_whole_prefix_only(daemon: Daemon, project: Path, prefix: str) -> None:
    daemon.ready(project)
    assert daemon.problem("GET", f"/v1/entries/{prefix}")["code"] == "E_UNKNOWN_ENTRY"


def verified(daemon: Daemon) -> list[dict[str, Any]]:
    status, headers, body = daemon.request("POST", "/v1/verify")
    assert (status, headers["content-type"]) == (200, "application/x-ndjson")
    return [json.loads(line) for line in body.splitlines()]


def test_verify_names_what_was_changed(daemon: Daemon, project: Path) -> None:
    daemon.ready(project)
    assert verified(daemon)[-1] == {"event": "done", "entries": 2, "findings": 0, "mended": 0, "left": 0}
    victim = daemon.store / "store/beta" / BETA.hexdigest[:32] / "site-packages/beta/__init__.py"
    content = victim.read_bytes()
    try:
        victim.chmod(0o644)
        victim.write_bytes(b"#" * len(content))
        victim.chmod(0o444)
        events = verified(daemon)
    finally:
        victim.chmod(0o644)
        victim.write_bytes(content)
        victim.chmod(0o444)
    findings = [event for event in events if event["event"] == "finding"]
    assert [(f["name"], f["version"], f["prefix"]) for f in findings] == [("beta", "2.0", BETA.hexdigest[:32])]
    assert findings[0]["path"].endswith("beta/__init__.py")
    assert events[-1] == {"event": "done", "entries": 2, "findings": 1, "mended": 0, "left": 0}


def test_the_event_stream_tells_of_every_project(daemon: Daemon, project: Path) -> None:
    connection = UnixConnection(daemon.socket)
    connection.request("GET", "/v1/events")
    stream = connection.getresponse()
    assert stream.getheader("content-type", "").startswith("text/event-stream")
    assert stream.readline() == b": storectl\n"
    environment = daemon.ready(project)
    while not (line := stream.readline()).startswith(b"data: ") or json.loads(line[6:])["event"] != "ready":
        assert line
    connection.close()
    assert json.loads(line[6:]) == {"project": str(project), "event": "ready", "environment": environment}
