"""What makes a folder a virtual environment (PEP 405) and starts the shim in it: the files no wheel brings.

pyvenv.cfg                         as ``venv`` and uv write it
bin/python  python3  python3.X     the first to the base interpreter, the others to the first
lib64 -> lib                       as ``venv`` makes it: 64-bit Linux, or an interpreter whose platlibdir is lib64
lib/pythonX.Y/EXTERNALLY-MANAGED   PEP 668: tells pip and others that storectl manages this environment
lib/pythonX.Y/_storectl_map.py     the shim: what reads the import map
lib/pythonX.Y/_storectl_pack.py    the shim: packs and cold starts
lib/pythonX.Y/_storectl_amend.py   the shim: what pip and coverage are told
lib/pythonX.Y/site-packages/
  _storectl.py                     the shim: all that a start needs
  _storectl.pth  _storectl.start   start it; the second from Python 3.15 on (PEP 829), which then skips the first
"""

import os
import sys
from collections.abc import Iterable, Iterator

from storectl_shim._storectl import CUSTOMIZATIONS
from storectl_store.environments.identity import VIEW_FORMAT, shim_sources
from storectl_store.environments.planning.tree import Leaf, Link, SmallFile
from storectl_store.errors import EnvironmentBuildError
from storectl_store.selection.target import Interpreter

_EXTERNALLY_MANAGED = b"""\
[externally-managed]
Error=storectl made it from a lock file and shares it between projects: nothing can be installed into it or
 removed from it. Change the lock file instead, for instance with `uv add --no-sync NAME`; storectl makes the new
 environment as soon as it is written, or when you run `storectl warm`. `storectl env export DIR` makes a plain copy,
 into which anything can be installed.
"""


def site_packages(interpreter: Interpreter) -> str:
    """The folder of packages, relative to the environment."""
    return f"lib/{interpreter.library_folder}/site-packages"


def venv_leaves(interpreter: Interpreter) -> Iterator[Leaf]:
    """All links and files of a view that come from no wheel, except for the import map and the record."""
    yield SmallFile(path="pyvenv.cfg", content=_pyvenv_cfg(interpreter))
    yield from _python_links(interpreter)
    if has_lib64(interpreter):
        yield Link(path="lib64", target="lib")
    folder = f"lib/{interpreter.library_folder}"
    yield SmallFile(path=f"{folder}/EXTERNALLY-MANAGED", content=_EXTERNALLY_MANAGED)
    yield from (SmallFile(path=f"{folder}/{path}", content=source) for path, source in shim_sources().items())
    yield from starting_files(interpreter, [])


def starting_files(interpreter: Interpreter, names: Iterable[str]) -> Iterator[SmallFile]:
    """The files that start the shim in a view that shows these names.

    Without modules that customize ``site`` the shim starts by a shorter way.
    """
    customized = not {name.partition(".")[0] for name in names}.isdisjoint(CUSTOMIZATIONS)
    start = b"start" if customized else b"start_uncustomized"
    folder = site_packages(interpreter)
    yield SmallFile(path=f"{folder}/_storectl.pth", content=b"import _storectl; _storectl.%s()\n" % start)
    yield SmallFile(path=f"{folder}/_storectl.start", content=b"_storectl:%s\n" % start)


def has_lib64(interpreter: Interpreter) -> bool:
    """Whether ``lib64`` is a link to ``lib``, as in ``venv.EnvBuilder.ensure_directories``."""
    platform = interpreter.markers.get("sys_platform", sys.platform)
    machine = interpreter.markers.get("platform_machine", "")
    is_64_bit = "64" in machine or machine == "s390x"
    return interpreter.platlibdir == "lib64" or (platform == "linux" and is_64_bit)


def _python_links(interpreter: Interpreter) -> Iterator[Leaf]:
    yield Link(path="bin/python", target=interpreter.executable)
    for name in dict.fromkeys(["python3", f"python{interpreter.feature_version}", interpreter.library_folder]):
        yield Link(path=f"bin/{name}", target="python")


def _pyvenv_cfg(interpreter: Interpreter) -> bytes:
    """The content of ``pyvenv.cfg``.

    CPython finds the standard library by ``home``; uv and virtualenv call the version ``version_info``.
    The last line tells the format of the view, which is part of the environment's id: equal ids have equal files.
    """
    if "\n" in interpreter.executable or not os.path.isabs(interpreter.executable):
        raise EnvironmentBuildError(f"no environment can be made for the interpreter {interpreter.executable!r}")
    lines = [
        f"home = {os.path.dirname(interpreter.executable)}",
        f"implementation = {interpreter.implementation}",
        "include-system-site-packages = false",
        f"version = {interpreter.version}",
        f"version_info = {interpreter.version}",
        f"executable = {interpreter.executable}",
        f"storectl = {VIEW_FORMAT}",
    ]
    return os.fsencode("\n".join([*lines, ""]))
