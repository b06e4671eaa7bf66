"""What people do wrong: one project, a mistake each, and the command that meets it.

`tests/end_to_end/test_mistakes.py` holds storectl to what it says; `scripts/mistakes` has uv say it too, and writes
docs/mistakes.md.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from uv import find_uv_bin

from support.index import LoopbackIndex
from support.wheels import fresh_wheel, make_wheel

PYPROJECT = """\
[project]
name = "demo"
version = "0"
requires-python = ">=3.11"
dependencies = ["alpha<2"]
[project.optional-dependencies]
more = ["beta"]
[dependency-groups]
dev = ["gamma"]
docs = ["delta"]
[tool.uv]
package = false
[[tool.uv.index]]
url = "INDEX"
default = true
"""
SCRIPT = "import alpha\nprint(alpha.value)\n"
CONFLICT = "<<<<<<< HEAD\nversion = 1\n=======\nversion = 2\n>>>>>>> theirs\n"
REFUSED = "http://127.0.0.1:9/simple"
"""An index that no process serves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One mistake. ``command`` follows `storectl`; ``uv`` is what follows `uv`, by default the same.

    ``files`` are written into the project before, or removed if they are None. ``exit`` is storectl's exit code,
    ``code`` its error code (empty: the program's own error), ``says`` a part of its first line, ``hint`` of its hint.
    """

    title: str
    command: tuple[str, ...]
    exit: int
    code: str
    says: str
    hint: str = ""
    uv: tuple[str, ...] = ()
    files: Mapping[str, str | None] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)

    def variables(self, index: LoopbackIndex) -> dict[str, str]:
        """Those of the command. ``INDEX`` stands for the address of the index."""
        return {name: value.replace("INDEX", index.url) for name, value in self.env.items()}

    @property
    def uv_command(self) -> tuple[str, ...]:
        return self.uv or self.command


def write_demo(folder: Path, index: LoopbackIndex, environ: Mapping[str, str]) -> Path:
    """The project that all mistakes are made in, locked by uv."""
    commands = "[console_scripts]\nalpha-cli = alpha:main\n"
    index.add(
        fresh_wheel(
            "alpha", "1.2", files={"alpha/__init__.py": "value = 42\ndef main(): pass\n"}, entry_points=commands
        ),
        make_wheel("alpha", "2.0"),
        *(make_wheel(name, "1.0") for name in ("beta", "gamma", "delta", "extra")),
        make_wheel("greedy", "1.0", requires_dist=("alpha>=2",)),
        make_wheel("elsewhere", "1.0", tag="cp311-cp311-win_amd64"),
    )
    folder.mkdir()
    (folder / "pyproject.toml").write_text(PYPROJECT.replace("INDEX", index.url))
    (folder / "hello.py").write_text(SCRIPT)
    run_uv(folder, environ, "lock", "--quiet")
    return folder


def make(mistake: Mistake, demo: Path, folder: Path, index: LoopbackIndex) -> None:
    """A copy of the project with the mistake in it. ``INDEX`` in a file stands for the address of the index."""
    shutil.copytree(demo, folder)
    for name, text in mistake.files.items():
        path = folder / name
        if text is None:
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.replace("INDEX", index.url))


def run_uv(folder: Path, environ: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """What uv makes of it, with nothing of this machine's user and no Python from the network."""
    own = {"UV_PYTHON_DOWNLOADS": "never", "UV_CACHE_DIR": str(folder.parent / "uv-cache"), "UV_NO_PROGRESS": "1"}
    own["PATH"] = os.pathsep.join([os.path.dirname(os.path.realpath(sys.executable)), environ.get("PATH", os.defpath)])
    return subprocess.run(
        [find_uv_bin(), *arguments],
        cwd=folder, env={**environ, **own}, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip


def _run(title: str, *arguments: str, exit: int, code: str, says: str, **more: object) -> Mistake:  # noqa: A002
    return Mistake(title=title, command=("run", *arguments), exit=exit, code=code, says=says, **more)  # type: ignore[arg-type]


def _of_wheel(
    title: str, url: str, *options: str, code: str, says: str, name: str = "fresh", version: str = "1.0"
) -> Mistake:
    """A lock file that names one wheel, at this address, with a digest that no file has."""
    project = f'[project]\nname = "demo"\nversion = "0"\nrequires-python = ">=3.11"\ndependencies = ["{name}"]\n'
    lock = (
        'version = 1\nrevision = 3\nrequires-python = ">=3.11"\n\n'
        f'[[package]]\nname = "{name}"\nversion = "{version}"\nsource = {{ registry = "INDEX" }}\n'
        f'wheels = [{{ url = "{url}", hash = "sha256:{"0" * 64}", size = 9 }}]\n\n'
        f'[[package]]\nname = "demo"\nversion = "0"\nsource = {{ virtual = "." }}\ndependencies = [{{ name = "{name}" }}]\n'
    )
    return _run(
        title, *options, "--frozen", "-c", "pass", uv=("run", *options, "--frozen", "python", "-c", "pass"),
        exit=125, code=code, says=says, files={"pyproject.toml": project, "uv.lock": lock},
    )  # fmt: skip


PASS = ("-c", "pass")
INDEXED = {"UV_DEFAULT_INDEX": "INDEX"}
UV_PASS = ("python", "-c", "pass")

MISTAKES = (
    # Options and commands.
    _run("an option with a letter missing", "--exta", "more", "hello.py", exit=2, code="E_USAGE", says="--exta", hint="--extra"),
    _run("a group's option with a letter missing", "--grup", "dev", "hello.py", exit=2, code="E_USAGE", says="--grup", hint="--group"),
    _run("a flag with a letter missing", "--al-extras", "hello.py", exit=2, code="E_USAGE", says="--al-extras", hint="--all-extras"),
    _run("an option of another tool", "--without", "dev", "hello.py", exit=2, code="E_USAGE", says="--without"),
    _run("an option without its value", "--extra", exit=2, code="E_USAGE", says="--extra needs a value"),
    _run("an option with an empty value", "--extra=", "hello.py", exit=2, code="E_USAGE", says="--extra needs a value"),
    _run("a flag with a value", "--offline=yes", "hello.py", exit=2, code="E_USAGE", says="--offline takes no value"),
    _run("a letter that is no option", "-Z", "hello.py", exit=2, code="E_USAGE", says="-Z"),
    _run("two options that exclude each other", "--package", "demo", "--all-packages", "hello.py", exit=2, code="E_USAGE", says="cannot be given together"),
    _run("a module and a script at once", "-m", "-s", "hello.py", exit=2, code="E_USAGE", says="cannot be given together"),
    _run("-m without a module", "-m", exit=2, code="E_USAGE", says="-m needs"),
    _run("an upgrade while running", "--upgrade", "hello.py", exit=2, code="E_USAGE", says="--upgrade", hint="storectl upgrade"),
    Mistake(title="a command with a letter missing", command=("rn", "hello.py"), exit=2, code="E_USAGE", says="no command rn", hint="run"),
    Mistake(title="a command that the other tool has", command=("sync",), uv=("warm",), exit=2, code="E_USAGE", says="no command sync", hint="storectl warm"),
    Mistake(title="an option of the wrong command", command=("warm", "--module"), uv=("sync", "--module"), exit=2, code="E_USAGE", says="--module"),
    # Programs.
    _run("a script that is not there", "nope.py", exit=127, code="E_NOT_FOUND", says="no such script"),
    _run("a script with a letter missing", "helo.py", exit=127, code="E_NOT_FOUND", says="helo.py", hint="hello.py"),
    _run("a script in a folder that is not there", "src/nope.py", exit=127, code="E_NOT_FOUND", says="src/nope.py"),
    _run("a command that is not there", "nope", exit=127, code="E_NOT_FOUND", says="nope"),
    _run("a command with letters swapped", "alpah-cli", exit=127, code="E_NOT_FOUND", says="alpah-cli", hint="alpha-cli"),
    _run("a module that is not there", "-m", "nope", exit=1, code="", says="No module named nope"),
    _run("a folder without __main__", "docs", exit=127, code="E_NOT_FOUND", says="docs is a folder without __main__.py", files={"docs/a.txt": ""}),
    _run("a package that is not selected", "-c", "import beta", uv=("run", "python", "-c", "import beta"), exit=1, code="", says="Traceback"),
    _run("a file that is no program and not executable", "./notes", exit=1, code="", says="", files={"notes": "these are notes\n"}),
    _run("a script at an address", "https://127.0.0.1:9/x.py", exit=127, code="E_NOT_FOUND", says="https://127.0.0.1:9/x.py", hint="download"),
    # Pythons.
    _run("a Python that is too old for the project", "-p", "3.9", "hello.py", exit=125, code="E_TARGET", says="3.11"),
    _run("a Python that is not there", "-p", "3.77", "hello.py", exit=125, code="E_TARGET", says="3.77"),
    _run("a Python by a path that is not there", "-p", "/nowhere/python", "hello.py", exit=125, code="E_TARGET", says="/nowhere/python"),
    _run("a Python by no version", "-p", "latest", "hello.py", exit=125, code="E_TARGET", says="latest"),
    _run("a pinned Python that is not there", "hello.py", exit=125, code="E_TARGET", says="3.77", files={".python-version": "3.77\n"}),
    _run("UV_PYTHON with a typing error", "hello.py", exit=125, code="E_TARGET", says="3.x1", env={"UV_PYTHON": "3.x1"}),
    # What is selected.
    _run("an extra that is not there", "--extra", "mor", "hello.py", exit=125, code="E_TARGET", says="`mor`", hint="more"),
    _run("a group that is not there", "--group", "doc", "hello.py", exit=125, code="E_TARGET", says="`doc`", hint="docs"),
    _run("a group alone that is not there", "--only-group", "doc", "hello.py", exit=125, code="E_TARGET", says="`doc`", hint="docs"),
    _run("leaving out a group that is not there", "--no-group", "doc", "hello.py", exit=125, code="E_TARGET", says="`doc`", hint="docs"),
    _run("leaving out an extra that is not there", "--all-extras", "--no-extra", "mor", "hello.py", exit=125, code="E_TARGET", says="`mor`", hint="more"),
    _run("a member that is not there", "--package", "dmo", "hello.py", exit=125, code="E_TARGET", says="dmo", hint="demo"),
    # Files.
    _run("a project whose pyproject.toml is broken", "hello.py", exit=125, code="E_LOCK", says="pyproject.toml:1:", files={"pyproject.toml": "[project\nname = 1\n"}),
    _run("a project with one key twice", "hello.py", exit=125, code="E_LOCK", says="pyproject.toml:3:", files={"pyproject.toml": '[project]\nname = "demo"\nname = "demo"\n'}),
    _run("a name that is a number", "hello.py", exit=125, code="E_LOCK", says="name", files={"pyproject.toml": "[project]\nname = 3\nversion = '0'\n"}),
    _run("groups that include each other", "--group", "a", "hello.py", exit=125, code="E_LOCK", says="", files={
        "pyproject.toml": PYPROJECT.replace('docs = ["delta"]', 'a = [{include-group = "b"}]\nb = [{include-group = "a"}]')}),
    _run("a lock file with a merge conflict", "hello.py", exit=125, code="E_LOCK", says="merge conflict", files={"uv.lock": CONFLICT}),
    _run("an empty lock file", "hello.py", exit=125, code="E_LOCK", says="uv.lock", files={"uv.lock": ""}),
    _run("half a lock file", "hello.py", exit=125, code="E_LOCK", says="uv.lock:", files={"uv.lock": 'version = 1\n[[package]]\nname = "al'}),
    _run("a lock file of the future", "hello.py", exit=125, code="E_LOCK", says="version", files={"uv.lock": "version = 99\n"}),
    _run("a lock file that is no text", "hello.py", exit=125, code="E_LOCK", says="uv.lock", files={"uv.lock": "\0\1\2"}),
    _run("a project that was never locked", "--frozen", "hello.py", exit=125, code="E_NOT_LOCKED", says="is not locked yet", files={"uv.lock": None}),
    _run("a lock file that is not there", "--lock", "nope.lock", "hello.py", uv=("pip", "sync", "nope.lock"), exit=125, code="E_NO_LOCK", says="nope.lock"),
    _run("a project that is not there", "--project", "nope", "hello.py", exit=125, code="E_FILE", says="nope"),
    _run("a folder that is not there", "--directory", "nope", "hello.py", exit=125, code="E_FILE", says="nope"),
    _run("a file of variables that is not there", "--env-file", "nope.env", "hello.py", exit=125, code="E_ENV_FILE", says="nope.env"),
    _run("a file of variables with a broken line", "--env-file", "bad.env", *PASS, uv=("run", "--env-file", "bad.env", *UV_PASS), exit=0, code="", says="bad.env, line 2", files={"bad.env": "A=1\n=x\n"}),
    _run("a lock file that knows another dependency", "--locked", "hello.py", exit=125, code="E_LOCK_OLD", says="beta", hint="storectl lock", files={"pyproject.toml": PYPROJECT.replace('"alpha<2"', '"alpha<2", "beta"')}),
    _run("a broken block in a script", "block.py", exit=2, code="E_USAGE", says="block.py", files={"block.py": "# /// script\n# dependencies = [\n# ///\n"}),
    _run("two blocks in a script", "block.py", exit=2, code="E_USAGE", says="block.py", files={"block.py": "# /// script\n# dependencies = []\n# ///\n\n# /// script\n# dependencies = []\n# ///\n"}),
    # On top.
    _run("no requirement", "--with", "x=>1", "hello.py", exit=2, code="E_USAGE", says="=> compares nothing"),
    _run("a folder on top that is not there", "--with", "./nope", "hello.py", exit=2, code="E_USAGE", says="nope"),
    _run("a folder on top that is no project", "--with", "./docs", "hello.py", exit=2, code="E_USAGE", says="docs", files={"docs/a.txt": ""}),
    _run("requirements that are not there", "--with-requirements", "nope.txt", "hello.py", exit=2, code="E_USAGE", says="nope.txt"),
    _run("a package that does not exist", "--with", "nosuchthing", "hello.py", exit=125, code="E_REQUIREMENTS", says=""),
    _run("a package that does not fit", "--with", "greedy", "hello.py", exit=125, code="E_REQUIREMENTS", says=""),
    Mistake(title="a tool that does not exist", command=("tool", "run", "nosuchthing"), env=INDEXED, exit=1, code="E_REQUIREMENTS", says=""),
    Mistake(title="a tool without such a command", command=("tool", "run", "beta"), env=INDEXED, exit=127, code="E_NOT_FOUND", says="beta has no command beta"),
    Mistake(title="no name of a tool", command=("tool", "run", "bad name!"), exit=2, code="E_USAGE", says="bad name!"),
    Mistake(title="an option of a tool with a letter missing", command=("tool", "run", "--frm", "alpha", "alpha-cli"), exit=2, code="E_USAGE", says="--frm", hint="--from"),
    # The network and what comes over it.
    _of_wheel("no network and nothing there yet", "INDEX../files/fresh-1.0-py3-none-any.whl", "--offline", code="E_OFFLINE", says="fresh"),
    _of_wheel("a server that does not answer", "http://127.0.0.1:9/fresh-1.0-py3-none-any.whl", code="E_OFFLINE", says="127.0.0.1:9/fresh-1.0-py3-none-any.whl: Connection refused"),
    _of_wheel("a file that is gone at its address", "INDEX../files/fresh-1.0-py3-none-any.whl", code="E_FETCH", says="404"),
    _of_wheel("a file with another digest", "INDEX../files/alpha-2.0-py3-none-any.whl", code="E_HASH", says="alpha-2.0-py3-none-any.whl", name="alpha", version="2.0"),
    _of_wheel("a package for another platform only", "INDEX../files/elsewhere-1.0-cp311-cp311-win_amd64.whl", code="E_NO_WHEEL", says="elsewhere", name="elsewhere"),
    _run("an index that is not there, for what comes on top", "--with", "extra", "--default-index", REFUSED, "hello.py", env={"UV_HTTP_RETRIES": "0"}, exit=125, code="E_REQUIREMENTS", says=""),
)  # fmt: skip
