"""The shim's bytecode, made by the interpreter that will read it, before the environment is published."""

import asyncio
import base64
import hashlib
import marshal
import posixpath
import subprocess

from storectl_store.entries.catalogue import Catalogue
from storectl_store.environments.identity import shim_digest, shim_sources
from storectl_store.environments.import_map import MARSHAL_VERSION
from storectl_store.errors import EnvironmentBuildError
from storectl_store.selection.target import Interpreter
from storectl_store.system_errors import refusal_of

_SHIM_SECONDS = 30
_CHECK_BYTES = 32

# An unchecked-hash pyc (PEP 552): the shim in a view never changes, so no comparison with its source is needed.
_COMPILE_SHIM = """
import sys, base64, marshal, importlib.util
for name, line in zip(sys.argv[1:], sys.stdin):
    source = base64.b64decode(line)
    head = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + importlib.util.source_hash(source)
    for level in (0, 1, 2):
        code = compile(source, name, "exec", dont_inherit=True, optimize=level)
        print(base64.b64encode(head + marshal.dumps(code)).decode())
"""


class ShimBytecode:
    """The shim as bytecode, compiled once for each interpreter.

    The catalogue keeps it under the digest of the shim's sources: the sha256 of the rest, then ``marshal`` (version 2)
    of path -> content.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._known: dict[str, dict[str, bytes]] = {}

    async def of(self, interpreter: Interpreter) -> dict[str, bytes]:
        """The files, by path below ``lib/pythonX.Y``. Raises EnvironmentBuildError if the interpreter cannot run."""
        if interpreter.identity not in self._known:
            kind = f"shim 2 {interpreter.identity}"
            files = await asyncio.to_thread(self._kept, kind)
            if files is None:
                files = await compile_shim(interpreter)
                await asyncio.to_thread(self._keep, kind, files)
            self._known[interpreter.identity] = files
        return self._known[interpreter.identity]

    def _kept(self, kind: str) -> dict[str, bytes] | None:
        """The bytecode in the catalogue, if it is whole: programs trust it without a look at its source."""
        data = self._catalogue.get_many(kind, [shim_digest()]).get(shim_digest(), b"")
        if hashlib.sha256(data[_CHECK_BYTES:]).digest() != data[:_CHECK_BYTES]:
            return None
        files: dict[str, bytes] = marshal.loads(data[_CHECK_BYTES:])  # noqa: S302  # of our own making, checked
        return files

    def _keep(self, kind: str, files: dict[str, bytes]) -> None:
        data = marshal.dumps(files, MARSHAL_VERSION)
        self._catalogue.put(kind, {shim_digest(): hashlib.sha256(data).digest() + data})


async def compile_shim(interpreter: Interpreter) -> dict[str, bytes]:
    """The shim as bytecode of this interpreter, by path below ``lib/pythonX.Y``, for every level of ``-O``.

    Raises EnvironmentBuildError if the interpreter cannot run.
    """
    paths = [posixpath.split(path) for path in shim_sources()]
    command = [interpreter.executable, "-I", "-S", "-c", _COMPILE_SHIM, *(name for _, name in paths)]
    source = b"".join(base64.b64encode(source) + b"\n" for source in shim_sources().values())
    try:
        done = await asyncio.to_thread(
            subprocess.run, command, input=source, capture_output=True, timeout=_SHIM_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        if (refusal := refusal_of(error, f"run {interpreter.executable}")) is not None:
            raise refusal from error
        raise EnvironmentBuildError(
            f"{interpreter.executable} cannot run: {type(error).__name__}",
            hint="Check that this Python works, or choose another one with -p.",
            executable=interpreter.executable,
        ) from error
    wanted = [
        posixpath.join(folder, "__pycache__", f"{name.removesuffix('.py')}.{interpreter.cache_tag}{level}.pyc")
        for folder, name in paths
        for level in ("", ".opt-1", ".opt-2")
    ]
    return dict(zip(wanted, map(base64.b64decode, done.stdout.split()), strict=True))
