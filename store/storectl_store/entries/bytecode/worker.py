"""Compile modules of entries, in the interpreter they are for: ``<python> -I -S -X utf8 worker.py [gives-way]``.

Standard library only, CPython 3.9 and newer. The first line it writes is its cache tag, as JSON. Then each line on
stdin is a job, and each line on stdout its result::

    {"folder": "/…/site-packages", "files": ["pkg/x.py"], "tmp": "/…/tmp", "optimize": [0]}
    {"staged": {"pkg/__pycache__/x.cpython-312.pyc": ["/…/tmp/7.0.pyc", "<sha256 hex>"]}, "failed": 0}

    {"folder": "/…/site-packages", "files": ["pkg/x.py"], "tmp": "/…/tmp", "optimize": [0], "place": "/…/early"}
    {"staged": {"pkg/__pycache__/x.cpython-312.pyc": ["/…/early/pkg/__pycache__/x.cpython-312.pyc", "…"]}, "failed": 0}

    {"folder": "/…/site-packages", "roots": ["pkg/__init__.py"], "reach": "/…/reach.py"}
    {"pkg/__init__.py": ["pkg.x"], "pkg/x.py": []}

With ``place`` each file is moved there as soon as it is whole, for programs that are starting. With ``gives-way`` the
process gets what processor time is left over.

Bytecode is unchecked and hash-based (PEP 552). It is compiled under the path relative to the folder, so that it depends
on the wheel and the interpreter alone. A module that does not compile gets no bytecode: a wheel may carry Python 2,
templates, or nonsense. If a file cannot be read or written, the process ends, so that its caller does not take the
entry for done.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import itertools
import json
import os
import signal
import sys
import warnings
from importlib import _bootstrap_external
from typing import Any

_NOT_COMPILED = (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError)
_NUMBERS = itertools.count()
_PROCESSOR_SECONDS = 300  # for a job: source can be made to compile for ever
_NICEST = 19
_REACH: dict[str, Any] = {}


def main() -> None:
    """Answer jobs until stdin ends."""
    warnings.simplefilter("ignore")
    results = sys.stdout
    sys.stdout = sys.stderr  # nothing but results may go to the real one
    print(json.dumps(sys.implementation.cache_tag), file=results, flush=True)
    if "gives-way" in sys.argv:
        give_way()
    for line in sys.stdin:
        signal.setitimer(signal.ITIMER_PROF, _PROCESSOR_SECONDS)  # its signal ends the process
        job = json.loads(line)
        print(json.dumps(reached(**job) if "reach" in job else run(**job)), file=results, flush=True)


def give_way() -> None:
    """Run when nothing else wants to, from now on. What the system lacks of that is done without."""
    os.nice(_NICEST)
    with contextlib.suppress(OSError):
        if sys.platform == "darwin":
            os.setpriority(4, 0, 0x1000)  # PRIO_DARWIN_PROCESS, PRIO_DARWIN_BG: also last for the disk
        elif hasattr(os, "SCHED_IDLE"):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    with contextlib.suppress(OSError):  # Linux may share among sessions first: this one is ours alone
        if os.getsid(0) == os.getpid():
            with open("/proc/self/autogroup", "w") as file:
                file.write(str(_NICEST))


def reached(folder: str, roots: list[str], reach: str) -> dict[str, list[str]]:
    """What the function of this name of the module at ``reach`` says. It is no module of this interpreter."""
    if not _REACH:
        with open(reach, encoding="utf-8") as file:
            exec(compile(file.read(), reach, "exec"), _REACH)  # noqa: S102  # our own
    imports: dict[str, list[str]] = _REACH["reached"](folder, roots)
    return imports


def run(folder: str, files: list[str], tmp: str, optimize: list[int], place: str = "") -> dict[str, Any]:
    """Compile all the files. The bytecode stays in ``tmp`` or ``place`` until the caller has made it durable."""
    staged: dict[str, list[str]] = {}
    failed = 0
    for file in files:
        for level in optimize:
            try:
                bytecode = compile_file(os.path.join(folder, file), file, level)
                target = importlib.util.cache_from_source(file, optimization=level or "")
                path = stage(tmp, bytecode)
                path = moved(path, place, target) if place else path
                staged[target] = [path, hashlib.sha256(bytecode).hexdigest()]
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


def moved(path: str, root: str, target: str) -> str:
    """Move the file to this path below ``root``, a folder that is there. Folders on the way are made."""
    place = f"{root}/{target}"
    try:
        os.replace(path, place)
    except FileNotFoundError:
        folder = root
        for part in target.split("/")[:-1]:
            folder += "/" + part
            with contextlib.suppress(FileExistsError):
                os.mkdir(folder)
        os.replace(path, place)
    return place


if __name__ == "__main__":
    main()
