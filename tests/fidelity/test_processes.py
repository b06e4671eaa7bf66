"""Processes that a program starts, servers that fork and reload, frameworks that look around: all as in a venv."""

import os
import pty
import re
import select
import signal
import socket
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from fidelity.twins import Twins, locked_twins, needs_compiler

pytestmark = [pytest.mark.network, pytest.mark.whole]

REQUIREMENTS = ("alembic", "django", "flask", "gunicorn", "joblib", "sphinx")
APPLICATION = """
import os, sys
import flask
app = flask.Flask(__name__)
LOADED_BY = os.getpid()

@app.get("/")
def where():
    import jinja2.nativetypes  # the first time in the worker
    return {"version": VERSION, "forked": LOADED_BY != os.getpid(), "prefix": sys.prefix, "late": jinja2.nativetypes.__file__}
"""


@pytest.fixture(scope="module")
def twins() -> Iterator[Twins]:
    with locked_twins(*REQUIREMENTS) as made:
        yield made


# Children


def test_joblib_s_workers_find_the_environment(twins: Twins) -> None:
    """loky starts interpreters of its own, which get their modules by pickle and by import."""
    (twins.scratch / "parallel.py").write_text(
        "import sys, joblib, markupsafe\n"
        "def work(n):\n    import jinja2\n    return n * 2, jinja2.__file__, sys.prefix, sys.executable\n"
        "if __name__ == '__main__':\n"
        "    print(joblib.Parallel(n_jobs=2)(joblib.delayed(work)(n) for n in range(4)))\n"
    )
    assert "(6, '<prefix>/lib/" in twins.same("python", "parallel.py")


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_finds_the_environment_by_every_method(twins: Twins, method: str) -> None:
    (twins.scratch / "pool.py").write_text(
        "import multiprocessing, sys\ndef work(n):\n    import click\n    return n, click.__file__, sys.prefix\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool: print(pool.map(work, range(3)))\n"
    )
    assert "<prefix>/lib/" in twins.same("python", "pool.py", method)


def test_another_node_needs_no_daemon_and_no_variables(twins: Twins) -> None:
    """As srun, mpiexec, ssh and the executors of Spark start it: the interpreter by its path, in a bare environment."""
    twins.machine.stop()
    program = "import flask, importlib.metadata as m, sys; print(m.version('flask'), flask.__file__, sys.prefix)"
    shown = [
        subprocess.run(
            [root / "bin/python", "-c", program], env={}, cwd="/", capture_output=True, text=True, check=True
        )
        for root in twins.roots
    ]
    assert shown[1].stdout == shown[0].stdout.replace(str(twins.venv), str(twins.environment))
    assert shown[1].stderr == ""


def test_scripts_with_env_in_their_first_line_run(twins: Twins) -> None:
    script = twins.scratch / "tool"
    script.write_text("#!/usr/bin/env python\nimport flask, sys; print(flask.__name__, sys.prefix)\n")
    script.chmod(0o755)
    assert twins.same(script) == "flask <prefix>\n"


def test_an_embedded_interpreter_is_given_the_environment_by_its_python(twins: Twins) -> None:
    """As uWSGI and mod_wsgi do: the program's name is that of the environment's interpreter."""
    needs_compiler()
    library = sysconfig.get_config_var("LDLIBRARY") or ""
    if ".so" not in library:
        pytest.skip("needs a shared libpython")
    (twins.scratch / "embed.c").write_text(
        "#include <Python.h>\nint main(int argc, char **argv) {\n  PyConfig config; PyConfig_InitPythonConfig(&config);\n"
        "  PyConfig_SetBytesString(&config, &config.executable, argv[1]);\n  Py_InitializeFromConfig(&config);\n"
        '  return PyRun_SimpleString("import flask, sys; print(flask.__file__, sys.prefix)") + Py_FinalizeEx();\n}\n'
    )
    folder, include = sysconfig.get_config_var("LIBDIR"), sysconfig.get_path("include")
    command = ["gcc", "embed.c", "-o", "embed", f"-I{include}", f"-L{folder}", f"-Wl,-rpath,{folder}"]
    name = library.removeprefix("lib").partition(".so")[0]
    subprocess.run([*command, f"-l{name}"], cwd=twins.scratch, check=True)
    assert twins.same(twins.scratch / "embed", "{root}/bin/python").endswith(" <prefix>\n")


def test_a_program_that_gives_up_root_goes_on_importing(twins: Twins) -> None:
    """As gunicorn -u and systemd services do. Other users must be able to reach the store, as they must for a venv."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    closed = [folder for folder in (twins.environment, *twins.environment.parents) if not folder.stat().st_mode & 0o005]
    for folder in closed:
        folder.chmod(folder.stat().st_mode | 0o055)
    program = (  # the standard library may be where others cannot read it, so it is loaded before
        "import flask, os, sqlalchemy, sys\n"
        "for name, module in list(sys.modules.items()):\n"
        "    if 'site-packages' in (getattr(module, '__file__', None) or ''): del sys.modules[name]\n"
        "os.setgid(65534); os.setuid(65534)\nimport click, flask; print(os.getuid(), flask.__file__)"
    )
    assert twins.python(program, cwd=Path("/")).startswith("65534 <prefix>")


# Servers


@pytest.mark.parametrize("options", [(), ("--preload",), ("--reload",)], ids=["plain", "preload", "reload"])
def test_gunicorn_serves_forks_and_reloads(twins: Twins, options: tuple[str, ...]) -> None:
    shown = [_served(twins, root, options) for root in twins.roots]
    assert shown[0] == shown[1]
    assert '"prefix":"<prefix>"' in shown[1]
    assert f'"forked":{"true" if options == ("--preload",) else "false"}' in shown[1]


def _served(twins: Twins, root: Path, options: tuple[str, ...]) -> str:
    """What the application answers; with ``--reload``, what it answers after it was changed."""
    folder = twins.scratch / f"served-{root.parent.parent.name}{''.join(options)}"
    folder.mkdir()
    (folder / "app.py").write_text("VERSION = 1\n" + APPLICATION)
    address = str(folder / "s")
    command: list[str | Path] = [
        root / "bin/gunicorn",
        "-w",
        "1",
        "-b",
        f"unix:{address}",
        "--no-control-socket",
        *options,
        "app:app",
    ]
    with _running(command, folder, twins.environ(root)):
        body = _until(lambda: _get(address), lambda text: '"version":1' in text)
        if options == ("--reload",):
            body = _until(
                lambda: _get(address, touched=folder / "app.py", text="VERSION = 22\n" + APPLICATION),
                lambda text: '"version":22' in text,
            )
    return body.replace(str(root), "<prefix>")


def test_django_s_server_reloads(twins: Twins) -> None:
    """``runserver`` starts itself anew when a module that it has imported changes; it looks at every one of them."""
    for root in twins.roots:
        folder = _site(twins, root)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command: list[str | Path] = [root / "bin/python", "manage.py", "runserver", str(port)]
        changed = (folder / "shop/views.py").read_text().replace("answer 1", "answer 22")
        with _running(command, folder, twins.environ(root)):
            _until(lambda port=port: _get(port), lambda text: "answer 1" in text)  # type: ignore[misc]  # bound now
            _until(
                lambda port=port, folder=folder, changed=changed: _get(  # type: ignore[misc]  # likewise
                    port, touched=folder / "shop/views.py", text=changed
                ),
                lambda text: "answer 22" in text,
            )


@contextmanager
def _running(command: Sequence[object], folder: Path, environ: dict[str, str]) -> Iterator[None]:
    """A server until the block ends, with all that it has started."""
    with open(folder / "log", "w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=folder,
            env=environ,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            yield
        except AssertionError as error:
            raise AssertionError(f"{error}\n{(folder / 'log').read_text()[-3000:]}") from error
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _until(ask: Callable[[], str], good: Callable[[str], bool]) -> str:
    """The first good answer, asked for again and again."""
    end, answer = time.monotonic() + 120, ""
    while time.monotonic() < end:
        answer = ask()
        if good(answer):
            return answer
        select.select([], [], [], 0.05)
    raise AssertionError(f"no good answer: {answer!r}")


def _get(address: str | int, *, touched: Path | None = None, text: str = "") -> str:
    """The body that the server at this socket or port answers with; "" where there is none.

    Before, ``touched`` gets this text: a reloader that first looks at a file after it was changed sees no change.
    """
    if touched is not None:
        touched.write_text(text)
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as connection:
        connection.settimeout(30)
        try:
            connection.connect(address if isinstance(address, str) else ("127.0.0.1", address))
            connection.sendall(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode().partition("\r\n\r\n")[2]
        except OSError:
            return ""


# Frameworks


def test_django_finds_applications_migrations_templates_and_translations(twins: Twins) -> None:
    program = (
        "import django; django.setup()\n"
        "from django.core.management import call_command; from django.template.loader import get_template\n"
        "from django.utils import translation; from django.contrib import admin\n"
        "call_command('check'); call_command('migrate', verbosity=1); call_command('showmigrations')\n"
        "call_command('findstatic', 'admin/css/base.css'); admin.autodiscover()\n"
        "print(get_template('admin/base.html').origin.name, [m.__name__ for m in admin.site._registry])\n"
        "with translation.override('de'): print(translation.gettext('Yes'))"
    )
    shown = []
    for root in twins.roots:
        folder = _site(twins, root)
        text = twins.output(root, "python", "-c", program, cwd=folder, env={"DJANGO_SETTINGS_MODULE": "shop.settings"})
        shown.append(re.sub(r"\d+\.\d+s|(?<=  )/?\S+(?=/site-packages/)", "", text.replace(str(folder), "<site>")))
    assert shown[0] == shown[1]
    assert "Applying auth.0001_initial... OK" in shown[1]
    assert "Ja\n" in shown[1]


def _site(twins: Twins, root: Path) -> Path:
    """A small Django site, made once for each."""
    folder = twins.scratch / f"site-{root.parent.parent.name}"
    if folder.exists():
        return folder
    folder.mkdir()
    twins.output(root, "django-admin", "startproject", "shop", ".", cwd=folder)
    (folder / "shop/views.py").write_text(
        "from django.http import HttpResponse\ndef index(request): return HttpResponse('answer 1')\n"
    )
    (folder / "shop/urls.py").write_text(
        "from django.urls import path\nfrom shop.views import index\nurlpatterns = [path('', index)]\n"
    )
    return folder


def test_sphinx_documents_what_it_imports_and_links_what_it_sees(twins: Twins) -> None:
    folder = twins.scratch / "docs"
    folder.mkdir()
    (folder / "conf.py").write_text("extensions = ['sphinx.ext.autodoc', 'sphinx.ext.viewcode']\n")
    (folder / "index.rst").write_text("Title\n=====\n\n.. automodule:: click.globals\n   :members:\n")
    for root in twins.roots:
        output = twins.scratch / f"docs-{root.parent.parent.name}"
        twins.output(root, "sphinx-build", "-q", "-W", "-b", "html", folder, output)
    pages = [(twins.scratch / f"docs-{r.parent.parent.name}/index.html").read_text() for r in twins.roots]
    assert pages[0] == pages[1]
    assert "get_current_context" in pages[1]


def test_alembic_copies_its_templates(twins: Twins) -> None:
    found = []
    for root in twins.roots:
        folder = twins.scratch / f"alembic-{root.parent.parent.name}"
        folder.mkdir()
        twins.output(root, "alembic", "init", "migrations", cwd=folder)
        twins.output(root, "alembic", "revision", "-m", "first", "--rev-id", "1", cwd=folder)
        found.append({str(p.relative_to(folder)) for p in folder.rglob("*") if p.suffix != ".pyc"})
    assert found[0] == found[1]
    assert "migrations/versions/1_first.py" in found[1]


def test_pydoc_shows_and_searches_modules(twins: Twins) -> None:
    shown = twins.same("python", "-m", "pydoc", "click.globals")
    assert "<prefix>/lib/python" in shown
    assert "\njinja2 " in "\n" + twins.python(
        "import pkgutil; print('\\n'.join(sorted(m.name for m in pkgutil.iter_modules() if m.name not in ('_storectl', '_virtualenv')))"
        ".replace('\\n', ' \\n'))"
    )


# Interactive


def test_a_session_starts_as_python_s_own(twins: Twins) -> None:
    """``-i``, PYTHONSTARTUP, and the current folder as ``''`` on the path of a session and of standard input."""
    (twins.scratch / "startup.py").write_text("print('started')\n")
    environ = {"PYTHONSTARTUP": str(twins.scratch / "startup.py")}
    program = "import sys, click; print(repr(sys.path[0]), click.__file__, hasattr(sys, 'ps1'))\n"
    assert twins.same("python", "-i", "-c", program, stdin="print('more', click.__name__)\n").endswith("more click\n")
    assert twins.same("python", "-", stdin=program).startswith("'' <prefix>")
    assert twins.same("python", stdin=program, env=environ).startswith("'' <prefix>")
    for root in twins.roots:
        assert _typed(twins, root, program, environ).count("started") == 1


def _typed(twins: Twins, root: Path, program: str, environ: dict[str, str]) -> str:
    """What a terminal shows of a session into which the program is typed."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [root / "bin/python", "-q"],
        env=twins.environ(root, environ | {"PYTHON_BASIC_REPL": "1"}),
        cwd=twins.scratch,
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
    )
    os.close(follower)
    os.write(leader, (program + "raise SystemExit\n").encode())
    seen = b""
    while process.poll() is None or select.select([leader], [], [], 0.1)[0]:
        try:
            if select.select([leader], [], [], 0.1)[0]:
                seen += os.read(leader, 4096)
        except OSError:
            break
    process.wait(timeout=60)
    os.close(leader)
    return seen.decode()
