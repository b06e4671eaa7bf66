"""What ``git fetch`` brought is ready before it is checked out: a real git, a real index, a real daemon.

And what a stranger's branch can do: nothing. Its lock file is read, and what the project's own servers have is fetched.
"""

import os
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from support.daemon import DEADLINE, Daemon, new_daemon, until
from support.fetching import Clone, Upstream
from support.index import LoopbackIndex, serve_index
from support.lock_files import pyproject_text, requirements_text, uv_lock_text
from support.project import git, write_project
from support.sources import make_sdist, tiny_backend
from support.wheels import WheelBytes, fresh_wheel

HUGE = 2 << 30


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with new_daemon() as daemon:
        daemon.start()
        yield daemon


@pytest.fixture
def index() -> Iterator[LoopbackIndex]:
    with serve_index() as index:
        yield index


@pytest.fixture
def upstream(tmp_path: Path, index: LoopbackIndex) -> Upstream:
    upstream = Upstream(tmp_path / "upstream")
    write_project(upstream.folder, index, [fresh_wheel("alpha")])
    upstream.commit()
    return upstream


@pytest.fixture
def clone(daemon: Daemon, upstream: Upstream, tmp_path: Path) -> Clone:
    return Clone(daemon, upstream, tmp_path / "clone")


class Listener:
    """A server that counts who connects, and says nothing."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.connections = 0
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                self._socket.accept()[0].close()
            except OSError:
                return
            self.connections += 1

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture
def foreign() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.close()


def entries(daemon: Daemon) -> set[str]:
    return {path.name for path in (daemon.store / "store").iterdir()} if (daemon.store / "store").exists() else set()


# --- what it is for ---------------------------------------------------------------------------------------------------


def test_after_a_switch_to_a_fetched_branch_no_request_is_made(
    clone: Clone, upstream: Upstream, index: LoopbackIndex
) -> None:
    before = clone.watched()
    commit = upstream.project_branch("feature", index, [fresh_wheel("alpha", "2.0"), fresh_wheel("beta")])
    clone.fetch()
    made = clone.made_ready(commit)
    requests = index.requests.total()
    after = clone.switched("feature")
    assert index.requests.total() == requests
    assert made.environment == after["id"] != before["id"]
    assert (made.ref, after["wheels"], list(made.digests)) == ("feature", 2, [])


def test_what_was_fetched_is_compiled_too(clone: Clone, upstream: Upstream, index: LoopbackIndex) -> None:
    clone.watched()
    wheel = fresh_wheel("gamma")
    upstream.project_branch("feature", index, [wheel])
    clone.fetch()
    until(lambda: bool(list((clone.daemon.store / "meta").glob(f"{wheel.hexdigest}.*.pyc.json"))))


@pytest.mark.parametrize("kind", ["requirements.txt", "poetry.lock", "pdm.lock", "pylock.toml", "Pipfile.lock"])
def test_it_works_for_the_lock_files_of_every_tool(
    daemon: Daemon, tmp_path: Path, index: LoopbackIndex, kind: str
) -> None:
    upstream = Upstream(tmp_path / "upstream")
    write_project(upstream.folder, index, [fresh_wheel("alpha")], kind)
    upstream.commit()
    clone = Clone(daemon, upstream, tmp_path / "clone")
    clone.watched()
    commit = upstream.project_branch("feature", index, [fresh_wheel("alpha", "2.0"), fresh_wheel("beta")], kind)
    clone.fetch()
    made = clone.made_ready(commit)
    requests = index.requests.total()
    assert clone.switched("feature")["id"] == made.environment
    assert index.requests.total() == requests


def package_files(version: str, index: LoopbackIndex, *wheels: WheelBytes) -> dict[str, str]:
    """A project that is a package, with code below src, a readme, a licence and a member."""
    index.add(*wheels)
    lock = uv_lock_text(index, wheels).replace('source = { virtual = "." }', 'source = { editable = "." }')
    lock = lock.replace("dependencies = [\n", 'dependencies = [\n    { name = "member" },\n')
    names = ", ".join(f'"{name}"' for name in ("member", *(wheel.name for wheel in wheels)))
    return {
        "uv.lock": f'{lock}\n[[package]]\nname = "member"\nversion = "1"\nsource = {{ editable = "packages/member" }}\n',
        "pyproject.toml": (
            '[project]\nname = "project"\nversion = "0"\nreadme = "README.md"\nlicense-files = ["LICEN*"]\n'
            f'description = "{version}"\ndependencies = [{names}]\n[project.scripts]\ngo = "project:main"\n'
            '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
            '[tool.uv.workspace]\nmembers = ["packages/*"]\n[tool.uv.sources]\nmember = { workspace = true }\n'
        ),
        "README.md": f"# Version {version}\n",
        "LICENSE": "Free\n",
        "src/project/__init__.py": f"VERSION = {version!r}\n",
        "packages/member/pyproject.toml": (
            f'[project]\nname = "member"\nversion = "1"\ndescription = "{version}"\n'
            '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        ),
        "packages/member/member.py": "",
    }


def test_a_project_that_is_a_package_is_ready_too_if_its_metadata_is_static(
    daemon: Daemon, tmp_path: Path, index: LoopbackIndex
) -> None:
    upstream = Upstream(tmp_path / "upstream")
    upstream.commit(package_files("1", index, fresh_wheel("alpha")))
    clone = Clone(daemon, upstream, tmp_path / "clone")
    clone.watched()
    commit = upstream.branch("feature", package_files("2", index, fresh_wheel("alpha", "2.0")))
    clone.fetch()
    made = clone.made_ready(commit)
    assert clone.switched("feature")["id"] == made.environment
    assert (clone.daemon.store / "environments" / str(made.environment) / "bin/go").exists()


def test_a_commit_that_changes_no_input_is_not_looked_at_twice(
    clone: Clone, upstream: Upstream, index: LoopbackIndex
) -> None:
    clone.watched()
    commit = upstream.project_branch("feature", index, [fresh_wheel("alpha", "2.0")])
    clone.fetch()
    clone.made_ready(commit)
    git(upstream.folder, "checkout", "-q", "feature")
    upstream.commit({"main.py": "print()\n"})
    git(upstream.folder, "checkout", "-q", "main")
    later = upstream.project_branch("later", index, [fresh_wheel("alpha", "3.0")])
    clone.fetch()
    clone.made_ready(later)
    assert [made.commit for made in clone.prefetched] == [commit, later]


# --- a stranger's branch ----------------------------------------------------------------------------------------------


def lock_with(index: LoopbackIndex, package: str, *wheels: WheelBytes) -> dict[str, str]:
    """A lock file of these wheels, and of one more package, ``odd``."""
    index.add(*wheels)
    names = [*(wheel.name for wheel in wheels), "odd"]
    lock = uv_lock_text(index, wheels)
    dependency = "dependencies = [\n" + '    { name = "odd" },\n'
    text = lock.replace("dependencies = [\n", dependency) + f'\n[[package]]\nname = "odd"\nversion = "1.0"\n{package}\n'
    return {"uv.lock": text, "pyproject.toml": pyproject_text(names)}


def wheel_at(url: str, digest: str, size: int) -> str:
    return (
        f'source = {{ registry = "https://index.example/simple" }}\n'
        f'wheels = [{{ url = "{url}", hash = "{digest}", size = {size} }}]'
    )


def test_a_stranger_s_branch_builds_nothing_runs_nothing_and_calls_nobody_new(
    clone: Clone, upstream: Upstream, index: LoopbackIndex, foreign: Listener
) -> None:
    clone.watched()
    daemon = clone.daemon
    index.add(tiny_backend())
    sdist, odd = make_sdist("odd"), fresh_wheel("odd")
    index.add(sdist, odd)
    moved = fresh_wheel("odd", "1.0", requires_python=">=3")

    def redirect(handler: BaseHTTPRequestHandler) -> bool:
        if not handler.path.startswith("/away/"):
            return False
        handler.send_response(302)
        handler.send_header("Location", f"{foreign.url}/files/{moved.filename}")
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return True

    index.respond = redirect
    registry = f'source = {{ registry = "{index.url}" }}\n'
    beside = {name: fresh_wheel(f"beside-{name}") for name in ("sdist", "git", "foreign", "redirect", "huge", "lie")}
    packages = {
        "sdist": f'{registry}sdist = {{ url = "{index.file_url(sdist)}", hash = "{sdist.digest}" }}',
        "git": f'source = {{ git = "{foreign.url}/odd.git?rev=main#{"0f" * 20}" }}',
        "foreign": wheel_at(f"{foreign.url}/files/{odd.filename}", odd.digest, len(odd.data)),
        "redirect": wheel_at(f"{index.root}/away/{moved.filename}", moved.digest, len(moved.data)),
        "huge": wheel_at(f"{index.root}/files/huge/{odd.filename}", odd.digest, HUGE),
        "lie": wheel_at(index.file_url(odd), f"sha256:{'0f' * 32}", len(odd.data)),
    }
    before = set(os.listdir(daemon.store / "environments"))
    commits = {
        name: upstream.branch(name, lock_with(index, package, beside[name])) for name, package in packages.items()
    }
    clone.fetch()
    made = {name: clone.made_ready(commit) for name, commit in commits.items()}
    for name, each in made.items():
        assert (each.environment, each.digests) == (None, (beside[name].digest,)), name
    assert foreign.connections == 0
    assert set(os.listdir(daemon.store / "environments")) == before, "nothing is published"
    forbidden = (sdist.filename, tiny_backend().filename, "/huge/", "/simple/")
    assert not [path for path in index.requests if any(part in path for part in forbidden)]
    assert not list(daemon.home.rglob("build-odd-*.log")), "no build has begun"
    assert daemon.state(clone.folder)["state"] == "ready"
    assert daemon.state(clone.folder)["problem"] is None


def test_a_lock_file_that_is_broken_a_link_or_in_conflict_is_left_alone_in_silence(
    clone: Clone, upstream: Upstream, index: LoopbackIndex, tmp_path: Path
) -> None:
    clone.watched()
    secret = tmp_path / "secret.lock"
    wheel = fresh_wheel("gamma")
    index.add(wheel)
    secret.write_text(uv_lock_text(index, [wheel]))
    lock = (upstream.folder / "uv.lock").read_text()
    conflict = f"<<<<<<< HEAD\n{lock}=======\n{lock}>>>>>>> theirs\n"
    upstream.branch("broken", {"uv.lock": "version = "})
    upstream.branch("conflict", {"uv.lock": conflict})
    upstream.branch("binary", {"uv.lock": b"\xff\x00" * 100})
    program, mark = tmp_path / "python3", tmp_path / "was-run"
    program.write_text(f"#!/bin/sh\n: > '{mark}'\n")
    program.chmod(0o755)
    upstream.branch("python", {".python-version": f"{program}\n"})
    git(upstream.folder, "checkout", "-qb", "link")
    (upstream.folder / "uv.lock").unlink()
    (upstream.folder / "uv.lock").symlink_to(secret)
    upstream.commit()
    git(upstream.folder, "checkout", "-q", "main")
    git(upstream.folder, "checkout", "-qb", "gone")
    (upstream.folder / "uv.lock").unlink()
    upstream.commit()
    git(upstream.folder, "checkout", "-q", "main")
    requests = index.requests.total()
    clone.fetch()
    for name in ("broken", "conflict", "binary", "python", "link", "gone"):
        until(lambda name=name: f"{clone.folder}: {name} is not made ready" in clone.daemon.log)  # type: ignore[misc]
    assert clone.prefetched == ()
    assert not mark.exists(), "a stranger's .python-version has been run"
    assert index.requests.total() == requests
    assert clone.daemon.state(clone.folder)["state"] == "ready"


def test_a_requirements_file_carries_no_variable_and_names_no_index_of_its_own(
    daemon: Daemon, tmp_path: Path, index: LoopbackIndex, foreign: Listener
) -> None:
    wheel, upstream = fresh_wheel("alpha"), Upstream(tmp_path / "upstream")
    index.add(wheel)
    own = f"--index-url {index.url}\n"
    upstream.commit({"requirements.txt": own + requirements_text([wheel])})
    clone = Clone(daemon, upstream, tmp_path / "clone")
    daemon.variables["TOKEN"] = "secret-of-mine"
    clone.watched()
    later = fresh_wheel("beta")
    index.add(later)
    for name, line in (
        ("index", f"--index-url {foreign.url}/simple/"),
        ("extra", f"{own}--extra-index-url {foreign.url}/simple/"),
        ("path", f"--index-url {index.root}/${{TOKEN}}/simple/"),
        ("links", f"{own}--find-links {foreign.url}/links"),
    ):
        upstream.branch(name, {"requirements.txt": f"{line}\n{requirements_text([later])}"})
    direct = f"beta @ {index.root}/${{TOKEN}}/{later.filename} --hash={later.digest}\n"
    upstream.branch("direct", {"requirements.txt": own + direct})
    clone.fetch()
    for name in ("index", "extra", "path", "links", "direct"):
        told = f"{clone.folder}: {name} has no environment yet, 0 new wheels"
        until(lambda told=told: told in daemon.log)  # type: ignore[misc]
    assert foreign.connections == 0
    assert not any("secret" in path for path in index.requests)
    assert "secret-of-mine" not in daemon.log


def test_a_readme_outside_of_the_project_is_not_read(daemon: Daemon, tmp_path: Path, index: LoopbackIndex) -> None:
    (tmp_path / "secret.md").write_text("secret-of-mine")
    upstream = Upstream(tmp_path / "upstream")
    upstream.commit(package_files("1", index))
    clone = Clone(daemon, upstream, tmp_path / "clone")
    clone.watched()
    for name, readme in (("absolute", str(tmp_path / "secret.md")), ("above", "../secret.md"), ("zero", "/dev/zero")):
        files = package_files("2", index)
        files["pyproject.toml"] = files["pyproject.toml"].replace("README.md", readme)
        upstream.branch(name, files)
    clone.fetch()
    for name in ("absolute", "above", "zero"):
        until(lambda name=name: f"{clone.folder}: {name} has no environment yet" in daemon.log)  # type: ignore[misc]
    found = [path for path in (daemon.store / "store").rglob("METADATA") if "secret-of-mine" in path.read_text()]
    assert found == []


def test_a_partial_clone_whose_remote_is_gone_hangs_nobody_and_calls_nobody(
    daemon: Daemon, upstream: Upstream, index: LoopbackIndex, tmp_path: Path, foreign: Listener
) -> None:
    git(upstream.folder, "config", "uploadpack.allowFilter", "true")
    clone = Clone(daemon, upstream, tmp_path / "clone", "--filter=blob:none")
    clone.watched()
    upstream.project_branch("feature", index, [fresh_wheel("beta")])
    url = git(clone.folder, "config", "remote.origin.url").strip()
    git(clone.folder, "config", "remote.origin.url", f"{foreign.url}/x.git")
    git(clone.folder, "config", "url.unused.insteadOf", "nothing")
    git(clone.folder, "fetch", "-q", "--filter=blob:none", url, "feature:refs/remotes/origin/feature")
    until(lambda: f"{clone.folder}: refs/remotes" in daemon.log or f"{clone.folder}: feature" in daemon.log)
    assert foreign.connections == 0
    assert clone.prefetched == ()


# --- behind whom ------------------------------------------------------------------------------------------------------


def test_a_warm_does_not_wait_for_a_prefetch_which_begins_anew_after_it(
    clone: Clone, upstream: Upstream, index: LoopbackIndex, tmp_path: Path
) -> None:
    clone.watched()
    ahead, asked = fresh_wheel("beta"), fresh_wheel("gamma")
    begun, go = threading.Event(), threading.Event()

    def respond(handler: BaseHTTPRequestHandler) -> bool:
        if handler.path.endswith(ahead.filename) and not begun.is_set():
            begun.set()
            go.wait(DEADLINE)
        if handler.path.endswith(asked.filename):
            time.sleep(0.2)  # a server that is not the quickest
        return False

    index.respond = respond
    commit = upstream.project_branch("feature", index, [ahead])
    clone.fetch()
    assert begun.wait(DEADLINE)
    other = write_project(tmp_path / "other", index, [asked])
    assert clone.daemon.ready(other)["wheels"] == 1
    assert clone.prefetched == ()
    go.set()
    clone.made_ready(commit)
    assert index.requests[f"/files/{ahead.filename}"] == 2
