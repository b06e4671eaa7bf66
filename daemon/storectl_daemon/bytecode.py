"""Bytecode for entries and for the shim, made by the interpreter that will read it."""

import asyncio
import base64
import subprocess
from collections.abc import Awaitable, Callable, Sequence

from storectl_daemon.batches import Batcher
from storectl_daemon.single_flight import SingleFlight
from storectl_store.digest import Digest
from storectl_store.errors import EnvironmentBuildError
from storectl_store.selection.target import Interpreter

CompileBatch = Callable[[Sequence[Digest], Interpreter], Awaitable[None]]
_SHIM_SECONDS = 30


class Compiler:
    """Compiles entries, once per digest and cache tag; what is committed while one batch runs forms the next."""

    def __init__(self, *, compile_batch: CompileBatch, present: Callable[[Digest, str], bool]) -> None:
        self._compile_batch = compile_batch
        self._present = present
        self._flights: SingleFlight[tuple[Digest, str], None] = SingleFlight()
        self._batches: dict[str, Batcher[Digest, None]] = {}

    def has(self, digest: Digest, interpreter: Interpreter) -> bool:
        """Whether the entry has the interpreter's bytecode."""
        return self._present(digest, interpreter.cache_tag)

    async def ensure(self, digest: Digest, interpreter: Interpreter) -> None:
        """Compile the entry where that has not been done; a ProblemError where the interpreter cannot run."""
        if self.has(digest, interpreter):
            return
        batches = self._batches.setdefault(interpreter.identity, self._batcher(interpreter))
        await self._flights.do((digest, interpreter.cache_tag), lambda: batches.submit(digest))

    def _batcher(self, interpreter: Interpreter) -> Batcher[Digest, None]:
        async def run(digests: Sequence[Digest]) -> Sequence[None]:
            await self._compile_batch(digests, interpreter)
            return [None] * len(digests)

        return Batcher(run)

    async def aclose(self) -> None:
        """Wait for what is running."""
        for batches in self._batches.values():
            await batches.aclose()


# An unchecked-hash pyc (PEP 552): the view's shim never changes, so nobody has to compare anything.
_COMPILE_SHIM = """
import sys, base64, marshal, importlib.util
source = sys.stdin.buffer.read()
head = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + importlib.util.source_hash(source)
for level in (0, 1, 2):
    code = compile(source, sys.argv[1], "exec", dont_inherit=True, optimize=level)
    print(base64.b64encode(head + marshal.dumps(code)).decode())
"""


async def compile_shim(interpreter: Interpreter, source: bytes, name: str) -> dict[str, bytes]:
    """The shim as bytecode of this interpreter, by file name, for every level of ``-O``.

    ``name`` is that of its source. EnvironmentBuildError where the interpreter cannot run.
    """
    command = [interpreter.executable, "-I", "-S", "-c", _COMPILE_SHIM, name]
    try:
        done = await asyncio.to_thread(
            subprocess.run, command, input=source, capture_output=True, timeout=_SHIM_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise EnvironmentBuildError(
            f"{interpreter.executable} cannot run: {type(error).__name__}",
            hint="Check that this Python works, or choose another one with -p.",
            executable=interpreter.executable,
        ) from error
    stem = f"{name.removesuffix('.py')}.{interpreter.cache_tag}"
    levels = zip(("", ".opt-1", ".opt-2"), done.stdout.split(), strict=True)
    return {f"{stem}{level}.pyc": base64.b64decode(content) for level, content in levels}
