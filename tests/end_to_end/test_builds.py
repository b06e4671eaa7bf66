"""Builds: whose variables they see, what they depend on, what they obey, and what they never write down."""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from uv import find_uv_bin

from support.daemon import until
from support.index import LoopbackIndex, serve_index
from support.machine import Machine, base_python
from support.private_index import answer, basic, require_login
from support.project import git
from support.secrets import command_lines, forms_of, hits
from support.sources import BACKEND, READER, make_sdist, tiny_backend
from support.telling import telling_files, telling_sdist
from support.wheels import make_wheel

TOLD = "import json, told_demo; print(json.dumps(told_demo.TOLD))"
PASSWORD = "s3cr3t-w0rd"


def put(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def run_uv(
    machine: Machine, folder: Path, *arguments: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    environ = machine.environ | {"UV_PYTHON_DOWNLOADS": "never", "UV_PYTHON": base_python()} | dict(env or {})
    return subprocess.run(
        [find_uv_bin(), *arguments], cwd=folder, env=environ, capture_output=True, text=True, check=False
    )


def root(machine: Machine, index: LoopbackIndex, *, uv: str = "", source: str = "", name: str = "root") -> Path:
    """A project that depends on ``demo``, locked by uv; ``uv`` goes into its [tool.uv]."""
    text = (
        f'[project]\nname = "{name}"\nversion = "1"\nrequires-python = ">=3.9"\ndependencies = ["demo"]\n'
        f"[tool.uv]\npackage = false\n{uv}\n[tool.uv.sources]\n{source}\n"
        f'[[tool.uv.index]]\nurl = "{index.url}"\ndefault = true\n'
    )
    folder = put(machine.home / name, {"pyproject.toml": text})
    done = run_uv(machine, folder, "lock", "-q")
    assert done.returncode == 0, done.stderr
    return folder


def local(machine: Machine, index: LoopbackIndex, *, extra: str = "pass", demo: str = "", uv: str = "") -> Path:
    """A project whose editable dependency ``demo`` tells; ``demo`` is more of its pyproject.toml."""
    put(machine.home / "demo", telling_files("demo", extra=extra, uv=demo))
    return root(machine, index, uv=uv, source='demo = { path = "../demo", editable = true }')


def told(machine: Machine, folder: Path, **variables: str) -> dict[str, Any]:
    machine.ok("warm", cwd=folder, env=variables)
    return dict(json.loads(machine.ok("run", "-c", TOLD, cwd=folder, env=variables)))


def builds(machine: Machine) -> list[dict[str, Any]]:
    """The records of the store's builds, the oldest first."""
    files = sorted((machine.store / "builds").glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    return [json.JSONDecoder().raw_decode(path.read_text())[0] for path in files]  # a seal may come after it


# --- whose variables ---------------------------------------------------------------------------------------------------


def test_a_build_sees_the_variables_of_the_command_and_not_those_of_the_daemon(
    machine: Machine, index: LoopbackIndex
) -> None:
    index.add(telling_sdist("demo"))
    folder = root(machine, index)
    machine.ok("daemon", "start", env={"DEMO_ASKED": "of the daemon"})
    assert told(machine, folder)["asked"] is None


def test_a_build_is_found_again_only_with_the_values_of_the_variables_that_it_looked_up(
    machine: Machine, index: LoopbackIndex
) -> None:
    index.add(telling_sdist("demo"))
    folder = root(machine, index)
    assert told(machine, folder)["asked"] is None
    assert told(machine, folder, DEMO_ASKED="one")["asked"] == "one"
    assert told(machine, folder, DEMO_ASKED="two")["asked"] == "two"
    assert len(builds(machine)) == 3
    for value, variables in ((None, {}), ("one", {"DEMO_ASKED": "one"}), ("two", {"DEMO_ASKED": "two", "OTHER": "x"})):
        assert told(machine, folder, **variables)["asked"] == value
    assert len(builds(machine)) == 3


def test_a_run_with_another_value_is_another_build(machine: Machine, index: LoopbackIndex) -> None:
    index.add(telling_sdist("demo"))
    folder = root(machine, index)
    program = "import told_demo; print(told_demo.TOLD['asked'])"
    machine.ok("run", "-c", program, cwd=folder)
    until((machine.record(folder) / "fast.default/environment").is_file)  # now the launcher decides alone
    for value in ("one", "two", "one"):
        assert machine.ok("run", "-c", program, cwd=folder, env={"DEMO_ASKED": value}) == f"{value}\n"
    assert machine.ok("run", "-c", program, cwd=folder) == "None\n"


def test_what_compilers_read_counts_without_being_looked_up(machine: Machine, index: LoopbackIndex) -> None:
    index.add(telling_sdist("demo"))
    folder = root(machine, index)
    told(machine, folder)
    assert told(machine, folder, CFLAGS="-O1")["variables"]["CFLAGS"] == "-O1"
    assert "CFLAGS" not in told(machine, folder)["variables"]
    assert len(builds(machine)) == 2


def test_provenance_names_the_variables_and_keeps_no_value(machine: Machine, index: LoopbackIndex) -> None:
    index.add(telling_sdist("demo", extra="print(os.environ['DEMO_TOKEN'])"))
    folder = root(machine, index)
    machine.ok("warm", cwd=folder, env={"DEMO_TOKEN": PASSWORD, "DEMO_ASKED": "a-value-of-its-own"})
    (entry,) = [entry for entry in machine.json("store", "list", "--json") if entry["name"] == "demo"]
    (shown,) = machine.json("store", "show", entry["prefix"], "--json")
    assert {"DEMO_TOKEN", "DEMO_ASKED"} <= set(shown["builds"][0]["variables"])
    (record,) = builds(machine)
    assert len(record["variables"]["DEMO_TOKEN"]) == 64
    assert "a-value-of-its-own" not in json.dumps(record)
    assert (machine.store / "variables.key").stat().st_mode & 0o777 == 0o600
    (log,) = (machine.home / ".local/state/storectl/builds").iterdir()
    assert PASSWORD not in log.read_text()
    assert "****" in log.read_text()


def test_a_hooks_variables_reach_no_build_of_any_project(machine: Machine, index: LoopbackIndex) -> None:
    repository = machine.root / "hooked"
    git(machine.root, "init", "-q", str(repository))
    hook = {"GIT_DIR": str(repository / ".git"), "GIT_INDEX_FILE": str(repository / ".git/index"), "GIT_PREFIX": ""}
    folder = local(machine, index)
    machine.ok("run", "-c", "pass", cwd=folder, env=hook)  # starts the daemon, and builds
    seen = told(machine, folder)
    assert not hook.keys() & seen["variables"].keys()
    assert seen["is a repository"] is False


# --- inputs ------------------------------------------------------------------------------------------------------------


def test_a_build_that_saw_its_files_change_is_not_kept(machine: Machine, index: LoopbackIndex) -> None:
    once = machine.root / "once"
    touch = (
        f"os.path.exists({str(once)!r}) or (open({str(once)!r}, 'w').close(), open('setup.cfg', 'w').write('# new'))"
    )
    folder = local(machine, index, extra=touch)
    machine.ok("warm", cwd=folder)
    assert "setup.cfg" in told(machine, folder)["files here"]
    (record,) = builds(machine)
    before = record["source"]
    (machine.home / "demo/setup.cfg").write_text("# other")
    machine.ok("warm", cwd=folder)
    assert [record["source"] != before for record in builds(machine)] == [False, True]


def test_a_folder_that_never_stands_still_is_said(machine: Machine, index: LoopbackIndex) -> None:
    folder = local(machine, index, extra="open('setup.cfg', 'a').write('# more')")
    done = machine.run("warm", cwd=folder)
    assert done.returncode == 1
    assert "E_BUILD: demo cannot be built: its files keep changing" in done.stderr
    assert builds(machine) == []


@pytest.mark.parametrize("key", ["file", "glob", "dir", "env", "commit", "tags"])
def test_what_cache_keys_name_is_an_input_of_a_build(machine: Machine, index: LoopbackIndex, key: str) -> None:
    keys = {
        "file": '{ file = "data.txt" }',
        "glob": '"parts/**/*.txt"',
        "dir": '{ dir = "parts" }',
        "env": '{ env = "DEMO_KEY" }',
        "commit": "{ git = true }",
        "tags": "{ git = { tags = true } }",
    }
    demo = machine.home / "demo"
    folder = local(machine, index, demo=f"[tool.uv]\ncache-keys = [{keys[key]}]\n")
    put(demo, {"data.txt": "one", "parts/one/a.txt": "one"})
    git(machine.home, "init", "-q", str(demo))
    git(demo, "add", "-A")
    git(demo, "commit", "-qm", "one")
    machine.ok("warm", cwd=folder)
    machine.ok("warm", cwd=folder)
    assert len(builds(machine)) == 1
    variables = {}
    if key == "file":
        (demo / "data.txt").write_text("two")
    elif key == "glob":
        put(demo, {"parts/two/deep/b.txt": "two"})
    elif key == "dir":
        shutil.rmtree(demo / "parts")
    elif key == "env":
        variables = {"DEMO_KEY": "two"}
    elif key == "commit":
        git(demo, "commit", "-q", "--allow-empty", "-m", "two")
    else:
        git(demo, "tag", "v2")
    machine.ok("warm", cwd=folder, env=variables)
    assert len(builds(machine)) == 2


# --- what the project's own tool obeys ---------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["no-build = true", 'no-build-package = ["demo"]', "UV_NO_BUILD"])
@pytest.mark.parametrize("source", ["sdist", "folder", "git", "editable", "member"])
def test_what_must_not_be_built_is_refused_as_by_uv(
    machine: Machine, index: LoopbackIndex, option: str, source: str
) -> None:
    variables = {option: "1"} if option.startswith("UV") else {}
    demo = put(machine.home / "demo", telling_files("demo"))
    index.add(telling_sdist("demo"))
    git(machine.home, "init", "-q", str(demo))
    git(demo, "add", "-A")
    git(demo, "commit", "-qm", "one")
    sources = {
        "folder": 'demo = { path = "../demo" }',
        "git": f'demo = {{ git = "{demo.as_uri()}" }}',
        "editable": 'demo = { path = "../demo", editable = true }',
        "member": "demo = { workspace = true }",
    }
    put(machine.home / "root/demo", telling_files("demo"))
    workspace = '[tool.uv.workspace]\nmembers = ["demo"]' if source == "member" else ""
    folder = root(machine, index, source=sources.get(source, ""), uv=workspace)
    if not variables:
        file = folder / "pyproject.toml"
        file.write_text(file.read_text().replace("package = false\n", f"package = false\n{option}\n", 1))
    theirs = run_uv(machine, folder, "sync", "-q", "--frozen", env=variables)
    ours = machine.run("warm", cwd=folder, env=variables)
    assert (ours.returncode == 0) == (theirs.returncode == 0), theirs.stderr + ours.stderr
    assert (ours.returncode == 0) == (source == "member")
    if ours.returncode:
        assert f"{'no-build-package' if 'package' in option else option.partition(' ')[0]}" in ours.stderr
        assert "has to be built" in ours.stderr
        assert builds(machine) == []


@pytest.mark.parametrize("option", ["no-binary = true", 'no-binary-package = ["demo"]', "UV_NO_BINARY"])
def test_what_must_be_built_is_built_though_a_wheel_fits(machine: Machine, index: LoopbackIndex, option: str) -> None:
    index.add(telling_sdist("demo"), make_wheel("demo", "1.0", files={"told_demo.py": "TOLD = {'isolated': None}\n"}))
    folder = root(machine, index, uv="" if option.startswith("UV") else option)
    variables = {option: "1"} if option.startswith("UV") else {}
    assert told(machine, folder, **variables)["isolated"]
    assert len(builds(machine)) == 1


def test_without_a_source_distribution_no_binary_is_named(machine: Machine, index: LoopbackIndex) -> None:
    index.add(make_wheel("demo", "1.0"))
    folder = root(machine, index)
    file = folder / "pyproject.toml"
    file.write_text(file.read_text().replace("package = false\n", 'package = false\nno-binary-package = ["demo"]\n', 1))
    assert run_uv(machine, folder, "sync", "-q", "--frozen").returncode != 0
    done = machine.run("warm", cwd=folder)
    assert "`demo` 1.0 has no source distribution to be built; `no-binary-package`" in done.stderr


@pytest.mark.parametrize("source", ["sdist", "editable"])
def test_a_build_without_isolation_sees_what_the_environment_has_and_nothing_else(
    machine: Machine, index: LoopbackIndex, source: str
) -> None:
    tool = make_wheel("tool", "1.0", files={"tool.py": ""})
    index.add(telling_sdist("demo", requires=("never-there",), extra="import tool"), tool)
    put(machine.home / "demo", telling_files("demo", requires=("never-there",), extra="import tool"))
    uv = 'no-build-isolation-package = ["demo"]'
    folder = root(
        machine, index, uv=uv, source='demo = { path = "../demo", editable = true }' if source == "editable" else ""
    )
    done = machine.run("warm", cwd=folder)
    assert "E_BUILD: demo" in done.stderr
    assert "No module named 'tool'" in done.stderr
    file = folder / "pyproject.toml"
    file.write_text(file.read_text().replace('["demo"]', '["demo", "tool"]', 1))
    assert run_uv(machine, folder, "lock", "-q").returncode == 0
    assert told(machine, folder)["installed"] == ["tool 1.0"]
    assert run_uv(machine, folder, "sync", "-q", "--frozen").returncode == 0


def test_an_extra_build_dependency_may_have_the_version_of_the_project(machine: Machine, index: LoopbackIndex) -> None:
    index.add(telling_sdist("demo"), make_wheel("tool", "1.0"), make_wheel("tool", "2.0"))
    uv = (
        'constraint-dependencies = ["tool<2"]\n[tool.uv.extra-build-dependencies]\n'
        'demo = [{ requirement = "tool", match-runtime = true }]\n'
    )
    folder = root(machine, index, uv=uv)
    done = machine.run("warm", cwd=folder)
    assert "`tool` is an extra build dependency with `match-runtime = true`" in done.stderr
    file = folder / "pyproject.toml"
    file.write_text(file.read_text().replace('["demo"]', '["demo", "tool"]', 1))
    assert run_uv(machine, folder, "lock", "-q").returncode == 0
    assert told(machine, folder)["installed"] == ["tool 1.0"]


def test_a_build_requirement_of_a_local_project_comes_from_its_source_as_under_uv(
    machine: Machine, index: LoopbackIndex
) -> None:
    tool = make_wheel("tool", "7.0")
    index.add(make_wheel("tool", "1.0"))
    (machine.home / tool.filename).write_bytes(tool.data)
    sources = f'[tool.uv.sources]\ntool = {{ path = "../{tool.filename}" }}\n'
    put(machine.home / "demo", telling_files("demo", requires=("tool",), uv=sources))
    folder = root(machine, index, source='demo = { path = "../demo", editable = true }')
    assert run_uv(machine, folder, "sync", "-q", "--frozen").returncode == 0
    theirs = subprocess.run([folder / ".venv/bin/python", "-c", TOLD], capture_output=True, text=True, check=True)
    assert told(machine, folder)["installed"] == json.loads(theirs.stdout)["installed"] == ["tool 7.0"]


def test_what_a_configuration_says_of_a_build_is_part_of_its_key(machine: Machine, index: LoopbackIndex) -> None:
    index.add(telling_sdist("demo"))
    folder = root(machine, index)
    assert told(machine, folder)["config settings"] == {}
    file = folder / "pyproject.toml"
    file.write_text(file.read_text() + '[tool.uv.config-settings]\na = "1"\n')
    assert told(machine, folder)["config settings"] == {"a": "1"}
    assert len(builds(machine)) == 2


def test_a_line_of_a_requirements_file_may_have_settings_for_its_build(machine: Machine, index: LoopbackIndex) -> None:
    sdist = telling_sdist("demo")
    index.add(sdist)
    line = f"demo==1.0 --hash={sdist.digest} --config-settings a=1 --config-settings a=2\n"
    folder = put(machine.home / "root", {"requirements.txt": f"--index-url {index.url}\n{line}"})
    assert told(machine, folder)["config settings"] == {"a": ["1", "2"]}


@pytest.mark.parametrize("variable", ["PIP_ONLY_BINARY", "PIP_NO_BINARY"])
def test_pips_own_options_count_for_its_lock_files(machine: Machine, index: LoopbackIndex, variable: str) -> None:
    sdist, wheel = telling_sdist("demo"), make_wheel("demo", "1.0")
    only = sdist if variable == "PIP_ONLY_BINARY" else wheel
    index.add(only)
    line = f"demo==1.0 --hash={only.digest}\n"
    folder = put(machine.home / "root", {"requirements.txt": f"--index-url {index.url}\n{line}"})
    done = machine.run("warm", cwd=folder, env={variable: "demo"})
    assert done.returncode == 1
    assert f"`--{variable[4:].lower().replace('_', '-')}` of" in done.stderr or "pip's variables" in done.stderr


def _poetry_core() -> Any:
    files = {"poetry/core/masonry/api.py": BACKEND, "tomllib_free.py": READER}
    return make_wheel(
        "poetry-core",
        "2.0.0",
        files={**files, "poetry/__init__.py": "", "poetry/core/__init__.py": "", "poetry/core/masonry/__init__.py": ""},
    )


def poetry_project(machine: Machine, index: LoopbackIndex) -> Path:
    """A package of Poetry's without [build-system], locked, and the index in the user's configuration."""
    text = (
        '[tool.poetry]\nname = "demo"\nversion = "3.0"\ndescription = ""\nauthors = []\n'
        '[tool.poetry.dependencies]\npython = ">=3.9"\n[tool.poetry.scripts]\ngo = "demo:main"\n'
        '[tool.tiny]\nname = "demo"\nversion = "3.0"\nscript = "go = demo:main"\n'
    )
    lock = 'package = []\n\n[metadata]\nlock-version = "2.1"\npython-versions = ">=3.9"\ncontent-hash = "0"\n'
    put(machine.home / ".config/pip", {"pip.conf": f"[global]\nindex-url = {index.url}\n"})
    code = "def main():\n    print('went')\n"
    return put(machine.home / "demo", {"pyproject.toml": text, "poetry.lock": lock, "demo/__init__.py": code})


def test_a_poetry_project_without_a_build_system_is_built_by_poetrys_backend(
    machine: Machine, index: LoopbackIndex
) -> None:
    index.add(_poetry_core())
    folder = poetry_project(machine, index)
    assert machine.ok("run", "go", cwd=folder) == "went\n"
    (record,) = builds(machine)
    assert (record["backend"], record["build_requires"]) == ("poetry.core.masonry.api", ["poetry-core>=1.0.0"])


def test_poetrys_configuration_of_builds_counts(machine: Machine, index: LoopbackIndex) -> None:
    index.add(sdist := telling_sdist("demo"), wheel := make_wheel("demo", "1.0"))
    lock = (
        f'[[package]]\nname = "demo"\nversion = "1.0"\ndescription = ""\noptional = false\npython-versions = ">=3.9"\ngroups = ["main"]\n'
        f'files = [{{file = "{wheel.filename}", hash = "{wheel.digest}"}}, {{file = "{sdist.filename}", hash = "{sdist.digest}"}}]\n'
        '[metadata]\nlock-version = "2.1"\npython-versions = ">=3.9"\ncontent-hash = "0"\n'
    )
    pyproject = '[project]\nname = "root"\nversion = "1"\nrequires-python = ">=3.9"\ndependencies = ["demo"]\n[tool.poetry]\npackage-mode = false\n'
    settings = '[installer]\nno-binary = ["demo"]\n[installer.build-config-settings.demo]\na = "1"\n'
    put(machine.home / ".config/pip", {"pip.conf": f"[global]\nindex-url = {index.url}\n"})
    folder = put(machine.home / "root", {"pyproject.toml": pyproject, "poetry.lock": lock, "poetry.toml": settings})
    assert told(machine, folder)["config settings"] == {"a": "1"}


def test_build_requirements_come_from_the_indexes_that_the_lock_file_names(
    machine: Machine, index: LoopbackIndex
) -> None:
    sdist = make_sdist("from-source")
    index.add(sdist, tiny_backend())
    with serve_index(tiny_backend()) as public:
        put(machine.home / ".config/pip", {"pip.conf": f"[global]\nindex-url = {public.url}\n"})
        lock = f"--index-url {index.url}\nfrom-source==1.0 --hash={sdist.digest}\n"
        folder = put(machine.home / "root", {"requirements.txt": lock})
        machine.ok("warm", cwd=folder)
        assert public.requests.total() == 0


def test_the_login_of_a_source_of_poetry_counts_for_build_requirements(machine: Machine, index: LoopbackIndex) -> None:
    sdist = make_sdist("from-source")
    index.add(sdist, tiny_backend())
    require_login(index, basic("ann", PASSWORD))
    address = index.url.rstrip("/")
    lock = (
        f'[[package]]\nname = "from-source"\nversion = "1.0"\ndescription = ""\noptional = false\npython-versions = "*"\n'
        f'groups = ["main"]\nfiles = [{{file = "{sdist.filename}", hash = "{sdist.digest}"}}]\n'
        f'[package.source]\ntype = "legacy"\nurl = "{address}"\nreference = "corp"\n'
        '[metadata]\nlock-version = "2.1"\npython-versions = ">=3.9"\ncontent-hash = "0"\n'
    )
    text = (
        '[project]\nname = "root"\nversion = "1"\nrequires-python = ">=3.9"\ndependencies = ["from-source"]\n'
        f'[tool.poetry]\npackage-mode = false\n[[tool.poetry.source]]\nname = "corp"\nurl = "{address}/"\n'
    )
    folder = put(machine.home / "root", {"pyproject.toml": text, "poetry.lock": lock})
    login = {"POETRY_HTTP_BASIC_CORP_USERNAME": "ann", "POETRY_HTTP_BASIC_CORP_PASSWORD": PASSWORD}
    machine.ok("warm", cwd=folder, env=login)
    assert len(builds(machine)) == 1
    assert hits(machine.home, forms_of("ann", PASSWORD)) == []


# --- secrets -----------------------------------------------------------------------------------------------------------


def test_a_login_in_the_address_of_an_index_is_in_no_file_and_no_argument(
    machine: Machine, index: LoopbackIndex
) -> None:
    sdist = make_sdist("from-source", fail=f"the address was http://ann:{PASSWORD}@localhost/")
    index.add(sdist, tiny_backend())
    require_login(index, basic("ann", PASSWORD))
    lock = f"from-source==1.0 --hash={sdist.digest}\n"
    folder = put(machine.home / "root", {"requirements.txt": lock})
    address = index.url.replace("//", f"//ann:{PASSWORD}@")
    with command_lines() as seen:
        done = machine.run("warm", cwd=folder, env={"PIP_INDEX_URL": address})
    assert "its build backend failed: tiny_backend: the address was" in done.stderr  # so far it came
    assert PASSWORD not in done.stderr
    assert hits(machine.home, forms_of("ann", PASSWORD)) == []
    assert not [line for line in seen if PASSWORD.encode() in line]


def test_a_login_in_a_build_requirement_is_in_no_file_and_no_argument(machine: Machine, index: LoopbackIndex) -> None:
    with serve_index(tool := make_wheel("tool", "1.0")) as private:
        asked = require_login(private, basic("ann", PASSWORD))
        address = private.file_url(tool).replace("//", f"//ann:{PASSWORD}@")
        index.add(telling_sdist("demo", requires=(f"tool @ {address}",)))
        folder = root(machine, index)
        with command_lines() as seen:
            assert told(machine, folder)["installed"] == ["tool 1.0"]
    assert asked
    assert hits(machine.home, forms_of("ann", PASSWORD)) == []
    assert not [line for line in seen if PASSWORD.encode() in line]
    (record,) = builds(machine)
    assert record["build_requires"] == [f"tool @ {private.file_url(tool)}"]


def test_a_login_in_the_address_of_a_repository_is_in_no_file_and_no_argument(
    machine: Machine, index: LoopbackIndex
) -> None:
    with serve_index() as private:
        _clone_with_a_login(machine, index, private)


def _clone_with_a_login(machine: Machine, index: LoopbackIndex, private: LoopbackIndex) -> None:
    repository = put(machine.root / "repository", telling_files("demo"))
    git(machine.root, "init", "-q", str(repository))
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "one")
    git(repository, "update-server-info")
    commit = git(repository, "rev-parse", "HEAD").strip()
    private.add(tool := make_wheel("tool", "1.0"))
    require_login(index, basic("ann", PASSWORD))
    refuse = index.respond
    assert refuse is not None

    def respond(handler: BaseHTTPRequestHandler) -> bool:
        if refuse(handler):
            return True
        path = repository / ".git" / handler.path.partition("?")[0].removeprefix("/repository.git/")
        answer(handler, 200, path.read_bytes()) if path.is_file() else answer(handler, 404)
        return True

    index.respond = respond
    address = f"{index.root}/repository.git".replace("//", f"//ann:{PASSWORD}@")
    hashed = f"--index-url {private.url}\ntool==1.0 --hash={tool.digest}\n"
    folder = put(machine.home / "root", {"requirements.txt": f"{hashed}demo @ git+{address}@{commit}\n"})
    machine.ok("daemon", "start")  # which makes the store
    of_before = machine.store / "git" / hashlib.sha256(address.encode()).hexdigest()[:32]
    put(of_before, {"config": f"url = {address}\n"})
    trace = machine.root / "trace"
    variables = {"GIT_TRACE2_EVENT": str(trace), "GIT_TRACE_REDACT": "0"}
    machine.ok("warm", cwd=folder, env=variables)
    program = "import importlib.metadata as m; print(m.distribution('demo').read_text('direct_url.json'))"
    shown = json.loads(machine.ok("run", "-c", program, cwd=folder))
    assert shown["url"] == f"{index.root}/repository.git"
    assert hits(machine.home, forms_of("ann", PASSWORD)) == ["root/requirements.txt"]
    starts = [line for line in trace.read_text().splitlines() if '"argv"' in line]
    assert starts
    assert PASSWORD not in "".join(starts)
