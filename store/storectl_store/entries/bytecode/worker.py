"""Compile modules of entries, in the interpreter they are for: ``<python> -I -S -X utf8 worker.py``.

Standard library only, CPython 3.9 and newer. The first line it writes is its cache tag, as JSON. Then each line on
stdin is a job, and each line on stdout its result::

    {"folder": "/…/site-packages", "files": ["pkg/x.py"], "tmp": "/…/tmp", "optimize": [0]}
    {"staged": {"pkg/__pycache__/x.cpython-312.pyc": ["/…/tmp/7.0.pyc", "<sha256 hex>"]}, "failed": 0}

Bytecode is unchecked and hash-based (PEP 552). It is compiled under the path relative to the folder, so that it depends
on the wheel and the interpreter alone. A module that does not compile gets no bytecode: a wheel may carry Python 2,
templates, or nonsense. If a file cannot be read or written, the process ends, so that its caller does not take the
entry for done.
"""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import json
import os
import sys
import warnings
from importlib import _bootstrap_external
from typing import Any

_NOT_COMPILED = (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError)
_NUMBERS = itertools.count()


def main() -> None:
    """Answer jobs until stdin ends."""
    warnings.simplefilter("ignore")
    results = sys.stdout
    sys.stdout = sys.stderr  # nothing but results may go to the real one
    print(json.dumps(sys.implementation.cache_tag), file=results, flush=True)
    for line in sys.stdin:
        print(json.dumps(run(**json.loads(line))), file=results, flush=True)


def run(folder: str, files: list[str], tmp: str, optimize: list[int]) -> dict[str, Any]:
    """Compile all the files. The bytecode stays in ``tmp`` until the caller has made it durable."""
    staged: dict[str, list[str]] = {}
    failed = 0
    for file in files:
        for level in optimize:
            try:
                bytecode = compile_file(os.path.join(folder, file), file, level)
                target = importlib.util.cache_from_source(file, optimization=level or "")
                staged[target] = [stage(tmp, bytecode), hashlib.sha256(bytecode).hexdigest()]
            except _NOT_COMPILED:  # noqa: PERF203  # one bad file is no reason to lose the others
                failed += 1
    return {"staged": staged, "failed": failed}


def compile_file(path: str, name: str, level: int) -> bytes:
    """The content of the .pyc of this source file.

    ``compile`` gets bytes, so that it finds the encoding itself (PEP 263).
    """
    with open(path, "rb") as file:
        source = file.read()
    code = compile(source, name, "exec", dont_inherit=True, optimize=level)
    content: bytearray = _bootstrap_external._code_to_hash_pyc(  # type: ignore[attr-defined]  # noqa: SLF001  # as py_compile does
        code, importlib.util.source_hash(source), checked=False
    )
    return bytes(content)


def stage(tmp: str, content: bytes) -> str:
    """Write a new read-only file with this content, and return its path."""
    path = os.path.join(tmp, f"{os.getpid()}.{next(_NUMBERS)}.pyc")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "wb") as file:
        file.write(content)
        os.fchmod(descriptor, 0o444)
    return path


if __name__ == "__main__":
    main()
