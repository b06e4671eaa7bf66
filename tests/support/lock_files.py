"""Lock files over wheels of the factory, in each format, with the addresses of a loopback index."""

import json
from collections.abc import Iterable, Sequence

from packaging.utils import canonicalize_name

from support.index import LoopbackIndex
from support.wheels import WheelBytes


def pylock_text(index: LoopbackIndex, wheels: Iterable[WheelBytes]) -> str:
    lines = ['lock-version = "1.0"', 'created-by = "tests"']
    for wheel in sorted(wheels, key=lambda w: canonicalize_name(w.name)):
        lines += [
            "",
            "[[packages]]",
            f'name = "{canonicalize_name(wheel.name)}"',
            f'version = "{wheel.version}"',
            (
                f'wheels = [{{ url = "{index.file_url(wheel)}", size = {len(wheel.data)}, '
                f'hashes = {{ sha256 = "{wheel.hexdigest}" }} }}]'
            ),
        ]
    return "\n".join(lines) + "\n"


def uv_lock_text(index: LoopbackIndex, wheels: Sequence[WheelBytes], *, root: str = "project") -> str:
    """A uv.lock whose virtual root project depends on every wheel."""
    registry = index.url.rstrip("/")
    names = [canonicalize_name(wheel.name) for wheel in wheels]
    lines = ["version = 1", "revision = 3", 'requires-python = ">=3.9"', ""]
    for wheel, name in sorted(zip(wheels, names, strict=True), key=lambda pair: pair[1]):
        lines += [
            "[[package]]",
            f'name = "{name}"',
            f'version = "{wheel.version}"',
            f'source = {{ registry = "{registry}" }}',
            "wheels = [",
            f'    {{ url = "{index.file_url(wheel)}", hash = "{wheel.digest}", size = {len(wheel.data)} }},',
            "]",
            "",
        ]
    lines += ["[[package]]", f'name = "{root}"', 'version = "0"', 'source = { virtual = "." }', "dependencies = ["]
    lines += [f'    {{ name = "{name}" }},' for name in sorted(names)]
    return "\n".join([*lines, "]", ""])


def pyproject_text(names: Iterable[str], *, root: str = "project") -> str:
    dependencies = ", ".join(f'"{name}"' for name in sorted(names))
    return (
        f'[project]\nname = "{root}"\nversion = "0"\nrequires-python = ">=3.9"\ndependencies = [{dependencies}]\n'
        "\n[tool.uv]\npackage = false\n[tool.poetry]\npackage-mode = false\n[tool.pdm]\ndistribution = false\n"
    )


def requirements_text(wheels: Iterable[WheelBytes]) -> str:
    return "".join(
        f"{canonicalize_name(wheel.name)}=={wheel.version} \\\n    --hash=sha256:{wheel.hexdigest}\n"
        for wheel in sorted(wheels, key=lambda w: canonicalize_name(w.name))
    )


def poetry_lock_text(index: LoopbackIndex, wheels: Iterable[WheelBytes]) -> str:
    """A poetry.lock in which every wheel is of the main group and comes from the index."""
    blocks = [
        f'[[package]]\nname = "{canonicalize_name(wheel.name)}"\nversion = "{wheel.version}"\ndescription = ""\n'
        'optional = false\npython-versions = ">=3.9"\ngroups = ["main"]\n'
        f'files = [\n    {{file = "{wheel.filename}", hash = "{wheel.digest}"}},\n]\n\n'
        f'[package.source]\ntype = "legacy"\nurl = "{index.url.rstrip("/")}"\nreference = "own"\n\n'
        for wheel in sorted(wheels, key=lambda w: canonicalize_name(w.name))
    ]
    end = '[metadata]\nlock-version = "2.1"\npython-versions = ">=3.9"\n'
    return "".join([*blocks, end])


def pdm_lock_text(index: LoopbackIndex, wheels: Iterable[WheelBytes]) -> str:
    """A pdm.lock with the strategies inherit_metadata and static_urls."""
    blocks = [
        f'[[package]]\nname = "{canonicalize_name(wheel.name)}"\nversion = "{wheel.version}"\nsummary = ""\n'
        f'groups = ["default"]\nfiles = [\n    {{url = "{index.file_url(wheel)}", hash = "{wheel.digest}"}},\n]\n\n'
        for wheel in sorted(wheels, key=lambda w: canonicalize_name(w.name))
    ]
    head = (
        '[metadata]\ngroups = ["default"]\nstrategy = ["inherit_metadata", "static_urls"]\nlock_version = "4.5.0"\n\n'
    )
    return "".join([head, *blocks])


def pipfile_lock_text(index: LoopbackIndex, wheels: Iterable[WheelBytes]) -> str:
    """A Pipfile.lock of the default category, with the index as its only source."""
    document = {
        "_meta": {
            "pipfile-spec": 6,
            "requires": {},
            "sources": [{"name": "own", "url": index.url, "verify_ssl": False}],
        },
        "default": {
            canonicalize_name(wheel.name): {
                "hashes": [wheel.digest], "index": "own", "version": f"=={wheel.version}",
            }
            for wheel in wheels
        },
        "develop": {},
    }  # fmt: skip
    return json.dumps(document, indent=4, sort_keys=True) + "\n"
