"""One random program made into a plain folder of packages and into an environment; and what both answer to its imports."""

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from storectl_store.entries.bytecode.compile import compile_entries
from storectl_store.entries.manifest import Manifest
from storectl_store.entries.trash import delete_tree
from storectl_store.environments.planning.order import InstallationOrder
from storectl_store.environments.publish import publish_environment
from storectl_store.selection.target import Interpreter
from support.environments import plan_of
from support.fake_daemon import serve_daemon
from support.random_wheels import PRECOMPILE, SOURCES, Program, Toolchain, compile_extension
from support.stores import WrittenStore
from support.views import write_files
from support.wheels import WheelBytes

Mode = Literal["shim", "daemon", "daemon dead", "without shim"]
MODES: tuple[Mode, ...] = ("shim", "daemon", "daemon dead", "without shim")
ORDERS = Path(__file__).with_name("orders.py")
SECONDS = 120
_WRITTEN_BY_INSTALLERS = ("INSTALLER", "REQUESTED", "RECORD", "direct_url.json", "uv_cache.json")


def toolchain(executable: str, folder: Path) -> Toolchain:
    """What fills the files of random wheels for this interpreter."""
    sources = json.dumps({name: text.hex() for name, text in SOURCES.items()})
    command = [executable, "-I", "-c", PRECOMPILE]
    bytecode = json.loads(subprocess.run(command, input=sources, capture_output=True, text=True, check=True).stdout)
    ask = "import sysconfig; print(sysconfig.get_path('include')); print(sysconfig.get_config_var('EXT_SUFFIX'))"
    answer = subprocess.run([executable, "-I", "-c", ask], capture_output=True, text=True, check=True).stdout
    include, suffix = answer.splitlines()
    return Toolchain(
        bytecode={name: bytes.fromhex(text) for name, text in bytecode.items()},
        extension=compile_extension(Path(include), folder),
        extension_suffix=suffix,
    )


_ENDLESS = re.compile(r"^  Traceback (?:(?!^  \w+: ).*\n)+?  RecursionError: .*\n", re.MULTILINE)
"""A traceback of ``site``, two spaces in, that ends with a RecursionError."""


class WarmInterpreter:
    """An interpreter that forks to answer as that of any venv."""

    def __init__(self, executable: str) -> None:
        environ = {"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8"}
        self._process = subprocess.Popen(
            [executable, "-S", ORDERS, "--serve"], env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert isinstance(answer, dict), answer
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What all programs share: an interpreter, a store, a folder for plain installations."""

    interpreter: Interpreter
    tools: Toolchain
    written: WrittenStore
    folder: Path
    warm: "WarmInterpreter"

    @contextlib.contextmanager
    def pair(self, program: Program, *, forked: bool = False) -> Iterator["RandomPair"]:
        """Both forms of a program, until the block ends."""
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            folder = Path(name)
            local, script = folder / "local", folder / "script"
            write_files(local, self.tools.files(program.local, local))
            script.mkdir()
            write_files(script, self.tools.files(program.beside_script, local))
            wheels = [self.tools.wheel(recipe, local) for recipe in program.recipes]
            manifests = [committed.manifest for committed in self.written.commit(*wheels)]
            if program.compiled:
                layout = self.written.store.layout
                compile_entries(layout, manifests, self.interpreter, processes=1, tmp=self.written.writer.session)
            environment = self._environment(manifests)
            try:
                yield RandomPair(
                    forked=forked,
                    program=program,
                    bench=self,
                    script=script,
                    wheels=tuple(wheels),
                    plain=plain_folder(folder / "plain", self.interpreter, self.in_order(manifests, wheels)),
                    environment=environment,
                )
            finally:
                delete_tree(environment)

    def in_order(self, manifests: Sequence[Manifest], wheels: Sequence[WheelBytes]) -> list[WheelBytes]:
        """The wheels in the order in which pip installs them."""
        order = InstallationOrder(manifests, self.interpreter.markers)
        ranked = sorted(zip(manifests, wheels, strict=True), key=lambda pair: order.rank(pair[0].name))
        return [wheel for _, wheel in ranked]

    def _environment(self, manifests: Sequence[Manifest]) -> Path:
        store = self.written.store
        return publish_environment(store, plan_of(manifests, self.interpreter, store.layout))


def plain_folder(root: Path, interpreter: Interpreter, wheels: Sequence[WheelBytes]) -> Path:
    """A venv with these wheels unpacked one after the other, as far as site-packages goes."""
    site = root / "lib" / interpreter.library_folder / "site-packages"
    site.mkdir(parents=True)
    (root / "bin").mkdir()
    (root / "bin" / "python").symlink_to(interpreter.executable)
    home = os.path.dirname(interpreter.executable)
    (root / "pyvenv.cfg").write_text(f"home = {home}\ninclude-system-site-packages = false\n")
    for wheel in wheels:
        with zipfile.ZipFile(io.BytesIO(wheel.data)) as archive:
            write_files(site, {_installed(name): archive.read(name) for name in archive.namelist()})
        record = next(site.glob(f"{wheel.filename.rsplit('-', 3)[0]}.dist-info/RECORD"))
        record.write_text("".join(map(_installed, record.read_text().splitlines(keepends=True))))
    return root


def _installed(path: str) -> str:
    """A path in the wheel, or a row of its RECORD, as installed: ``.data/purelib`` and ``.data/platlib`` are site-packages."""
    top, _, rest = path.partition("/")
    return rest.partition("/")[2] if top.endswith(".data") else path


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomPair:
    """The two forms of a program. ``forked``: the bench's warm interpreter is asked, not one started for each answer."""

    forked: bool
    program: Program
    bench: Bench
    script: Path
    wheels: tuple[WheelBytes, ...]
    plain: Path
    environment: Path

    def expected(self) -> dict[str, Any]:
        """What the plain folder answers."""
        return self._ask(self.plain, {})

    def found(self, mode: Mode) -> dict[str, Any]:
        """What the environment answers in this mode."""
        if mode == "without shim":
            return self._ask(self.environment, {}, plain=True)
        if mode == "shim":
            return self._ask(self.environment, {})
        socket = Path(tempfile.mkdtemp(prefix="str-")) / "s"
        try:
            if mode == "daemon dead":
                return self._ask(self.environment, {"STORECTL_SOCKET": str(socket)})
            with _daemon(socket, self.environment / "import-map"):
                return self._ask(self.environment, {"STORECTL_SOCKET": str(socket)})
        finally:
            shutil.rmtree(socket.parent)

    def unpacked(self) -> dict[str, bytes]:
        """The files of the plain folder, but for what installers write."""
        return _contents(self.plain)

    def installed(self, command: Callable[[Path], Sequence[str]]) -> dict[str, bytes]:
        """The same of a venv into which a tool installed the wheels; the command is made for its python."""
        with tempfile.TemporaryDirectory(dir=self.bench.folder) as name:
            root = plain_folder(Path(name) / "venv", self.bench.interpreter, [])
            paths = [Path(name) / wheel.filename for wheel in self.wheels]
            for path, wheel in zip(paths, self.wheels, strict=True):
                path.write_bytes(wheel.data)
            environ = {"PATH": os.defpath, "HOME": name}
            done = subprocess.run(
                [*command(root / "bin" / "python"), *paths], env=environ, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            return _contents(root)

    def disputed(self) -> set[str]:
        """The paths that several wheels have with other contents."""
        contents: dict[str, set[bytes]] = {}
        for wheel in self.wheels:
            with zipfile.ZipFile(io.BytesIO(wheel.data)) as archive:
                for name in archive.namelist():
                    contents.setdefault(_installed(name), set()).add(archive.read(name))
        return {path for path, values in contents.items() if len(values) > 1}

    def _ask(self, root: Path, more: Mapping[str, str], *, plain: bool = False) -> dict[str, Any]:
        environ = {"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C.UTF-8", **more}
        ask = self._ask_a_fork if self.forked else self._ask_a_new_process
        found = ask(root, environ, plain=plain)
        site = f"{root}/lib/{self.bench.interpreter.library_folder}/site-packages"
        said = found["stderr"].replace(site, "<site>").replace(str(root), "<prefix>")
        return {**found, "stderr": _without_depth(said).splitlines()}

    def _ask_a_fork(self, root: Path, environ: Mapping[str, str], *, plain: bool) -> dict[str, Any]:
        facts = {"root": str(root), "script": str(self.script), "environ": environ, "plain": plain}
        return self.bench.warm.ask({**facts, "orders": self.program.orders})

    def _ask_a_new_process(self, root: Path, environ: Mapping[str, str], *, plain: bool) -> dict[str, Any]:
        flags = ["-S", ORDERS, "--plain"] if plain else [ORDERS]
        done = subprocess.run(
            [root / "bin" / "python", *flags, self.script], input=json.dumps({"orders": self.program.orders}),
            env=environ, cwd=self.script, capture_output=True, text=True, check=False, timeout=SECONDS,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return {"stderr": done.stderr, **json.loads(done.stdout)}


def _contents(root: Path) -> dict[str, bytes]:
    site = next(root.glob("lib/python*/site-packages"))
    return {
        str(path.relative_to(site)): path.read_bytes()
        for path in site.rglob("*")
        if path.is_file() and path.name not in _WRITTEN_BY_INSTALLERS
    }


@contextlib.contextmanager
def _daemon(socket: Path, import_map: Path) -> Iterator[None]:
    """A daemon that answers with this import map."""
    content = import_map.read_bytes()

    def respond(handler: Any) -> bool:
        handler.send_bytes(200, content, "application/octet-stream")
        return True

    with serve_daemon(socket) as daemon:
        daemon.respond = respond
        yield


def _without_depth(said: str) -> str:
    """Without the frames of a program that calls itself without end: where that ends depends on who called it first."""
    return _ENDLESS.sub("  (calls itself without end)\n", said)


def differences(expected: Mapping[str, Any], found: Mapping[str, Any], place: str = "") -> Iterator[str]:
    """A line for each answer that is not the same."""
    for key in [*expected, *(key for key in found if key not in expected)]:
        ours, theirs = found.get(key), expected.get(key)
        if isinstance(ours, dict) and isinstance(theirs, dict):
            yield from differences(theirs, ours, f"{place}{key}: ")
        elif ours != theirs:
            yield f"{place}{key}:\n    plain    {theirs}\n    storectl {ours}"
