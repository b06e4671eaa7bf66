"""The made-up project of the fidelity cases: wheels for what no small package of a registry shows, and code of its own.

Each wheel is there for some rows of docs/fidelity-cases.md. Modules say where they come from in ``PLACE``.
"""

import py_compile
import sysconfig
from collections.abc import Mapping
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from support.wheels import WheelBytes, make_wheel

EXTEND_PATH = "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"
SAME_INIT = "PLACE = 'wheel'\n"
NOTE = "import sys; sys.__dict__.setdefault('noted', []).append({!r})\n"
"""A line of a ``.pth`` file that leaves a trace in ``sys.noted``."""

PROJECT = """\
[project]
name = "Acme.App"
version = "3.1"
description = "What the cases are run from"
requires-python = ">=3.9"
dependencies = [{dependencies}]

[project.scripts]
Acme-App = "acme.own.cli:main"

[project.entry-points."acme.plugins"]
own = "acme.own.cli:main"

[build-system]
requires = ["uv_build>=0.5"]
build-backend = "uv_build"

[tool.uv.build-backend]
module-name = "acme.own"
namespace = true
"""
OWN_CODE = {
    "src/acme/own/__init__.py": "PLACE = 'project'\n",
    "src/acme/own/cli.py": "import sys\n\n\ndef main():\n    print('acme-app', sys.argv[1:])\n",
    "src/acme/own/note.txt": "a note of the project",
}


def project_files(wheels: tuple[WheelBytes, ...]) -> Mapping[str, str]:
    """The project that requires every wheel."""
    return {"pyproject.toml": PROJECT.format(dependencies=", ".join(f'"{wheel.name}"' for wheel in wheels)), **OWN_CODE}


def made_wheels(folder: Path) -> tuple[WheelBytes, ...]:
    """All wheels; bytecode is compiled below ``folder``."""
    return (*_kinds(folder), *_local_names(), *_namespaces(), *_start_up(), *_metadata(), *_resources())


def extension_module() -> Path | None:
    """An extension module of the standard library that is a file of its own, to be given another name."""
    folder = Path(sysconfig.get_config_var("DESTSHARED") or "")
    found = sorted(folder.glob(f"_bisect{EXTENSION_SUFFIXES[0]}"))
    return found[0] if found else None


def _kinds(folder: Path) -> list[WheelBytes]:
    """Modules of every kind, and several kinds under one name."""
    order: dict[str, bytes | str] = {
        "order/__init__.py": "",
        "order/both/__init__.py": "",
        "order/both.py": "",
        "order/last/inner.py": "",
        "order/last.py": "",
        "order/bare/deep/inner.py": "",
        "order/data/table.txt": "",
        "order/größe.py": "X = 1\n",
        "order/tongue.odd": "PLACE = 'another language'\n",
        **_numbered_modules(),
    }
    compiled = _bytecode(folder, "PLACE = 'bytecode'\n")
    bytecode = {"compiled/__init__.pyc": compiled, "compiled/inner.pyc": compiled, "alone.pyc": compiled}
    extension = extension_module()
    native = {}
    if extension:
        native[f"natively/_bisect/__init__{EXTENSION_SUFFIXES[0]}"] = extension.read_bytes()
    return [
        make_wheel("order", files=order),
        make_wheel("compiled", files=bytecode),
        make_wheel("natively", files={"natively/__init__.py": b"", **native}),
        make_wheel(
            "stray.libs", files={"stray.libs/libz.so.1": b"", "stray-data/x.py": "", "single.py": "X = __name__\n"}
        ),
    ]


def _numbered_modules() -> dict[str, bytes]:
    """``order.at0`` has a file for every suffix, each further one lacks one more of those that go first."""
    suffixes = [*EXTENSION_SUFFIXES, ".py", ".pyc"]
    return {f"order/at{number}{suffix}": b"" for number in range(len(suffixes)) for suffix in suffixes[number:]}


def _bytecode(folder: Path, source: str) -> bytes:
    (folder / "source.py").write_text(source)
    target = py_compile.compile(
        str(folder / "source.py"),
        cfile=str(folder / "source.pyc"),
        dfile="source.py",
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    assert target
    return Path(target).read_bytes()


def _local_names() -> list[WheelBytes]:
    """Names that projects and the standard library have too."""
    strays = {f"{name}/__init__.py": SAME_INIT for name in ("tests", "docs", "examples")}
    return [
        make_wheel("docker", files={"docker/__init__.py": SAME_INIT, "docker/api.py": SAME_INIT}),
        make_wheel("redis", files={"redis/__init__.py": SAME_INIT}),
        make_wheel("given", files={"given.py": SAME_INIT}),
        make_wheel("enum34", files={"enum/__init__.py": SAME_INIT, "colorsys.py": SAME_INIT}),
        make_wheel("strays", files={**strays, "tests/helper.py": SAME_INIT}),
    ]


def _namespaces() -> list[WheelBytes]:
    """Packages that several wheels write into, in each of the ways there are."""
    regular = {"both/__init__.py": SAME_INIT, "both/deep/__init__.py": SAME_INIT}
    return [
        make_wheel("acme-one", files={"acme/one.py": SAME_INIT, "acme/cloud/store/__init__.py": SAME_INIT}),
        make_wheel("acme-two", files={"acme/two/__init__.py": SAME_INIT, "acme/cloud/queue.py": SAME_INIT}),
        make_wheel("old-one", files={"old/__init__.py": EXTEND_PATH, "old/one.py": SAME_INIT}),
        make_wheel("old-two", files={"old/__init__.py": EXTEND_PATH, "old/two.py": SAME_INIT}),
        make_wheel("both-left", files={**regular, "both/left.txt": "L", "both/deep/left.py": SAME_INIT}),
        make_wheel("both-right", files={**regular, "both/right.txt": "R", "both/deep/right.py": SAME_INIT}),
    ]


def _start_up() -> list[WheelBytes]:
    """Start-up files of every kind, whose traces are in ``sys.noted``."""
    return [
        make_wheel(
            "startup",
            files={
                "Upper.pth": NOTE.format("Upper"),
                "__editable__x.pth": NOTE.format("__editable__"),
                "a-second.pth": NOTE.format("a-second") + NOTE.format("a-second, line 2"),
                "a-first.pth": "# a comment\n\n" + NOTE.format("a-first"),
                "a-first.start": "startup_module:start\n",
                ".hidden.pth": NOTE.format("hidden"),
                "bom.pth": b"\xef\xbb\xbf" + NOTE.format("bom").encode(),
                "broken.pth": NOTE.format("before") + "import no_such_module\n" + NOTE.format("after"),
                "paths.pth": "on_path\nno_such_folder\non_path/deeper\n",
                "zz-last.pth": NOTE.format("zz-last") + "import startup_module\n",
                "on_path/found_on_path.py": SAME_INIT,
                "on_path/deeper/found_deeper.py": SAME_INIT,
                "startup_module.py": NOTE.format("module"),
                "sitecustomize.py": NOTE.format("sitecustomize"),
                "usercustomize.py": NOTE.format("usercustomize"),
            },
        )
    ]


def _metadata() -> list[WheelBytes]:
    """Names to be normalised, entry points, extras."""
    named = {"some_name/__init__.py": SAME_INIT, "another.py": SAME_INIT}
    return [
        make_wheel(
            "Some.Name_x",
            "2.5",
            files=named,
            entry_points="[acme.plugins]\nSome.Plugin = some_name:PLACE [extra]\n[console_scripts]\nSomeName = some_name:go\n",
            extra_dist_info={"top_level.txt": "another\nsome_name\n"},
        )
    ]


def _resources() -> list[WheelBytes]:
    return [
        make_wheel(
            "holder",
            files={
                "holder/__init__.py": "",
                "holder/data/table.txt": "a table",
                "acme/holder/text.txt": "in a namespace",
                "holder-1.0.data/data/share/jupyter/kernels/held/kernel.json": "{}",
                "holder-1.0.data/data/etc/jupyter/held.d/held.json": "{}",
                "holder-1.0.data/purelib/late.py": SAME_INIT,
            },
        ),
        make_wheel("holder-two", files={"holder_two-1.0.data/data/share/jupyter/kernels/two/kernel.json": "{}"}),
    ]
