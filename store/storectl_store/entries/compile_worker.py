"""Compiles modules of entries, in the interpreter they are for: ``<python> -I -S -X utf8 compile_worker.py``.

Standard library only, CPython 3.9 and newer. The first line it writes is its cache tag, as JSON. Then each line on stdin is a
job, each line on stdout its result::

    {"folder": "/…/site-packages", "files": ["pkg/x.py"], "tmp": "/…/tmp", "optimize": [0]}
    {"written": {"pkg/__pycache__/x.cpython-312.pyc": "<sha256 hex>"}, "failed": 0}

Bytecode is unchecked and hash-based (PEP 552), compiled under the path relative to the folder, so that it depends on the
wheel and the interpreter alone. What cannot be compiled has none: a wheel may carry Python 2, templates, or nonsense. What
cannot be read or written ends the process, so that nobody takes the entry for done.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import importlib.util
import json
import os
import sys
import warnings
from contextlib import contextmanager, suppress
from importlib import _bootstrap_external
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOT_COMPILED = (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError)


def main() -> None:
    """Answer jobs until there are no more."""
    warnings.simplefilter("ignore")
    results = sys.stdout
    sys.stdout = sys.stderr  # nothing but results may go to the real one
    print(json.dumps(sys.implementation.cache_tag), file=results, flush=True)
    for line in sys.stdin:
        print(json.dumps(run(**json.loads(line))), file=results, flush=True)


def run(folder: str, files: list[str], tmp: str, optimize: list[int]) -> dict[str, Any]:
    """Compile all the files, make their bytecode durable, and only then let it be seen."""
    staged: dict[str, str] = {}
    written: dict[str, str] = {}
    failed = 0
    for file in files:
        for level in optimize:
            try:
                bytecode = compile_file(os.path.join(folder, file), file, level)
                target = importlib.util.cache_from_source(file, optimization=level or "")
                staged[target] = stage(tmp, len(staged), bytecode)
                written[target] = hashlib.sha256(bytecode).hexdigest()
            except _NOT_COMPILED:  # noqa: PERF203  # one bad file is no reason to lose the others
                failed += 1
    if staged:
        settle(tmp)
        for target in place(folder, staged):
            del written[target]
            failed += 1
    return {"written": written, "failed": failed}


def compile_file(path: str, name: str, level: int) -> bytes:
    """The content of the .pyc of this source file; bytes are given to ``compile``, so that it finds the encoding (PEP 263)."""
    with open(path, "rb") as file:
        source = file.read()
    code = compile(source, name, "exec", dont_inherit=True, optimize=level)
    content: bytearray = _bootstrap_external._code_to_hash_pyc(  # type: ignore[attr-defined]  # noqa: SLF001  # as py_compile does
        code, importlib.util.source_hash(source), checked=False
    )
    return bytes(content)


def stage(tmp: str, number: int, content: bytes) -> str:
    """The path of a new read-only file with this content."""
    path = os.path.join(tmp, f"{os.getpid()}.{number}.pyc")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "wb") as file:
        file.write(content)
        os.fchmod(descriptor, 0o444)
    return path


def settle(folder: str) -> None:
    """One barrier for all that was staged: a power cut must not leave torn bytecode under its final name."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if barrier()(descriptor) != 0:
            raise OSError(errno.EIO, "syncfs", folder)
    finally:
        os.close(descriptor)


def barrier() -> Any:
    """``syncfs``, which takes a descriptor and gives 0; where there is none, all file systems wait."""
    try:
        import ctypes  # noqa: PLC0415  # an interpreter may be built without it

        return ctypes.CDLL(None).syncfs
    except (ImportError, AttributeError):  # the latter on macOS
        return sync_all


def sync_all(_descriptor: int) -> int:
    """``syncfs`` for those who have none."""
    os.sync()
    return 0


def place(folder: str, staged: dict[str, str]) -> list[str]:
    """Rename the staged files to their places in the entry, and say which could not be."""
    by_cache: dict[str, list[str]] = {}
    for target in staged:
        by_cache.setdefault(os.path.dirname(target), []).append(target)
    with locked(folder):
        for cache, targets in by_cache.items():
            with opened_up(os.path.join(folder, cache)):
                for target in targets:
                    rename(staged[target], os.path.join(folder, target))
    lost = [target for target, path in staged.items() if os.path.exists(path)]
    for target in lost:
        os.unlink(staged[target])
    return lost


def rename(source: str, target: str) -> None:
    """Let it be seen; a name that gets too long with the tag in it cannot be, and is not worth more than that."""
    try:
        os.rename(source, target)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise


@contextmanager
def locked(folder: str) -> Iterator[None]:
    """Alone in the entry, among all that compile it for some interpreter: they open and close its folders."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks: a folder closed too early costs bytecode, nothing else
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def opened_up(cache: str) -> Iterator[None]:
    """The ``__pycache__`` folder, made if need be, writable meanwhile and read-only after."""
    parent = os.path.dirname(cache)
    mode = os.stat(parent).st_mode & 0o7777
    if not os.path.isdir(cache):
        os.chmod(parent, mode | 0o200)
        try:
            os.mkdir(cache)
        finally:
            os.chmod(parent, mode)
    os.chmod(cache, 0o755)  # noqa: S103  # for the moment
    try:
        yield
    finally:
        os.chmod(cache, 0o555)  # noqa: S103  # the mode of every folder of an entry


if __name__ == "__main__":
    main()
