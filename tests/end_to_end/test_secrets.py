"""A password stays where its user wrote it: it is in no file of storectl's, no argument, no log and no answer.

Builds, commits and build requirements are in ``test_builds.py``.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from support.index import LoopbackIndex, serve_index
from support.lock_files import poetry_lock_text, requirements_text, uv_lock_text
from support.machine import Machine, new_machine
from support.private_index import FakeKeyring, answer, basic
from support.secrets import command_lines, forms_of, hits
from support.wheels import make_wheel

pytestmark = pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs /proc")
SHOWN = (("env", "show", "--json"), ("env", "list", "--json"))
"""What tells of projects and their indexes. The log is among the files."""


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """One daemon for all: what one project taught it must not show with another either."""
    with new_machine() as made:
        yield made


@dataclass(kw_only=True)
class Scene:
    """A project whose wheel needs a login. ``files`` are what the user wrote, relative to the home; those are not searched."""

    machine: Machine
    index: LoopbackIndex
    name: str
    files: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    header: str = "Authorization"

    @property
    def password(self) -> str:
        return f"p/55w0rd of {self.name}"

    @property
    def quoted(self) -> str:
        return self.password.replace("/", "%2F").replace(" ", "%20")

    @property
    def project(self) -> Path:
        return self.machine.home / self.name

    def url(self, address: str | None = None) -> str:
        """The address, with the login in it."""
        return (address or self.index.url).replace("//", f"//ann:{self.quoted}@", 1)

    def lock(self, text: str, name: str = "requirements.txt") -> None:
        self.files[f"{self.name}/{name}"] = text

    def plain(self) -> None:
        """A lock file that names no index."""
        self.lock(requirements_text(self.index.wheels.values()))

    def poetry(self) -> None:
        self.lock(poetry_lock_text(self.index, self.index.wheels.values()), "poetry.lock")
        source = f'[[tool.poetry.source]]\nname = "corp"\nurl = "{self.index.url}"\n'
        self.files[f"{self.name}/pyproject.toml"] = f'[tool.poetry]\nname = "demo"\n{source}'


def in_the_lock_file(scene: Scene) -> None:
    wheels = requirements_text(scene.index.wheels.values())
    scene.lock(f"--index-url {scene.url()}\n{wheels}")


def in_the_address_of_a_file(scene: Scene) -> None:
    scene.lock(
        uv_lock_text(scene.index, list(scene.index.wheels.values())).replace("//", f"//ann:{scene.quoted}@"), "uv.lock"
    )


def in_a_variable_of_the_lock_file(scene: Scene) -> None:
    wheels = requirements_text(scene.index.wheels.values())
    scene.lock(f"--index-url {scene.index.url.replace('//', '//ann:${TOKEN}@')}\n{wheels}")
    scene.env = {"TOKEN": scene.quoted}


def in_the_variable_of_an_index(scene: Scene) -> None:
    scene.plain()
    scene.env = {"UV_DEFAULT_INDEX": scene.url()}


def in_the_variables_of_a_named_index(scene: Scene) -> None:
    scene.plain()
    scene.env = {"UV_DEFAULT_INDEX": f"corp={scene.index.url}", "UV_INDEX_CORP_USERNAME": "ann"}
    scene.env["UV_INDEX_CORP_PASSWORD"] = scene.password


def in_pip_conf(scene: Scene) -> None:
    scene.plain()
    scene.files[".config/pip/pip.conf"] = f"[global]\nindex-url = {scene.url()}\n"


def in_uv_toml(scene: Scene) -> None:
    scene.plain()
    scene.files[".config/uv/uv.toml"] = f'[[index]]\nurl = "{scene.url()}"\ndefault = true\n'


def in_pyproject(scene: Scene) -> None:
    scene.plain()
    scene.files[f"{scene.name}/pyproject.toml"] = f'[[tool.uv.index]]\nurl = "{scene.url()}"\ndefault = true\n'


def in_netrc(scene: Scene) -> None:
    scene.plain()
    scene.env = {"UV_DEFAULT_INDEX": scene.index.url}
    scene.files[".netrc"] = f'machine 127.0.0.1 login ann password "{scene.password}"\n'


def in_a_keyring(scene: Scene) -> None:
    scene.plain()
    keyring = FakeKeyring(scene.machine.root)
    keyring.knows("get", scene.index.url, "ann", answer=f"{scene.password}\n")
    scene.env = {
        "PATH": f"{keyring.bin}:{os.environ['PATH']}",
        "PIP_INDEX_URL": scene.index.url.replace("//", "//ann@"),
        "PIP_KEYRING_PROVIDER": "subprocess",
    }


def in_poetry_s_variables(scene: Scene) -> None:
    scene.poetry()
    scene.env = {"POETRY_HTTP_BASIC_CORP_USERNAME": "ann", "POETRY_HTTP_BASIC_CORP_PASSWORD": scene.password}


def in_auth_toml(scene: Scene) -> None:
    scene.poetry()
    login = f'[http-basic.corp]\nusername = "ann"\npassword = "{scene.password}"\n'
    scene.files[".config/pypoetry/auth.toml"] = login


def in_poetry_toml(scene: Scene) -> None:
    scene.poetry()
    login = f'[http-basic.corp]\nusername = "ann"\npassword = "{scene.password}"\n'
    scene.files[f"{scene.name}/poetry.toml"] = login


def in_the_address_of_a_proxy(scene: Scene) -> None:
    scene.plain()
    scene.env = {"UV_DEFAULT_INDEX": "http://index.invalid/simple", "HTTP_PROXY": scene.url(scene.index.root)}
    scene.header = "Proxy-Authorization"


PLACES = (
    in_the_lock_file, in_the_address_of_a_file, in_a_variable_of_the_lock_file, in_the_variable_of_an_index,
    in_the_variables_of_a_named_index, in_pip_conf, in_uv_toml, in_pyproject, in_netrc, in_a_keyring, in_poetry_s_variables,
    in_auth_toml, in_poetry_toml, in_the_address_of_a_proxy,
)  # fmt: skip


def refuse(scene: Scene, *, everybody: bool) -> list[str | None]:
    """Let the index refuse who has no login, or everybody, and say what it was sent; the headers in order."""
    seen: list[str | None] = []

    def respond(handler: BaseHTTPRequestHandler) -> bool:
        seen.append(handler.headers.get(scene.header))
        if everybody or seen[-1] != basic("ann", scene.password):
            status = 407 if scene.header == "Proxy-Authorization" else 401
            answer(handler, status, f"no {seen[-1]}".encode(), WWW_Authenticate=f'Basic realm="{seen[-1]}"')
            return True
        if handler.path.startswith("http://"):  # as a proxy
            files = handler.path.endswith(".whl")
            (wheel,) = scene.index.wheels.values()
            html = scene.index.project_html(wheel.name).encode()
            answer(handler, 200, wheel.data if files else html, Content_Type="text/html")
            return True
        return False

    scene.index.respond = respond
    return seen


@pytest.mark.parametrize("place", PLACES, ids=lambda place: str(place.__name__))
def test_a_password_is_nowhere_but_where_its_user_wrote_it(machine: Machine, place: object) -> None:
    assert callable(place)
    name = str(getattr(place, "__name__", "")).replace("_", "-")
    with serve_index(make_wheel(name, "1.0", files={"a.py": ""})) as index:
        scene = Scene(machine=machine, index=index, name=name)
        place(scene)
        try:
            check(scene)
        finally:
            for path in scene.files:
                (machine.home / path).unlink()


def check(scene: Scene) -> None:
    """Fail with the login and succeed with it; then look everywhere."""
    machine, forms = scene.machine, forms_of("ann", scene.password)
    for path, text in scene.files.items():
        (machine.home / path).parent.mkdir(parents=True, exist_ok=True)
        (machine.home / path).write_text(text)
    written = hits(machine.root, forms)
    by_the_user = [path for path, text in scene.files.items() if any(form in text.encode() for form in forms)]
    assert len(written) == len(by_the_user) + ("PIP_KEYRING_PROVIDER" in scene.env)  # the stand-in has it in a file
    with command_lines() as seen:
        refuse(scene, everybody=True)
        refused = machine.run("run", "-c", "pass", cwd=scene.project, env=scene.env)
        assert refused.returncode == 125, refused.stderr
        sent = refuse(scene, everybody=False)
        done = [machine.run(*command, cwd=scene.project, env=scene.env) for command in (("warm",), *SHOWN)]
    assert done[0].returncode == 0, done[0].stderr
    assert basic("ann", scene.password) in sent
    for said in (refused, *done):
        assert not [form for form in forms if form in f"{said.stdout}{said.stderr}".encode()], said
    assert hits(machine.root, forms) == written
    assert not [line for line in seen if any(form in line for form in forms)]
    environ = Path(f"/proc/{machine.daemon_pid()}/environ").read_bytes()
    assert not [form for form in forms if form in environ]
