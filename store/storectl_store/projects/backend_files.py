"""Files that a ``pyproject.toml`` names because a field of the metadata, or the backend itself, is read from them.

[tool.setuptools.dynamic]        version = { file = "VERSION" }, { attr = "pkg.__version__" }; dependencies, …
setup.cfg  [metadata]            version = file: VERSION, attr: pkg.__version__
[tool.hatch.version]             path;  hooks: path, files
[tool.pdm.version]               path
flit, dynamic = ["version"]      the module itself
[tool.poetry.build]              script
[build-system] backend-path      the backend in the project
[project]                        readme, license, license-files, if the metadata is storectl's to write
"""

import configparser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from storectl_store.projects.pyproject import table_at


def named_files(document: dict[str, Any], folder: Path, *, metadata: bool) -> list[str]:
    """The files that ``pyproject.toml`` or its backend names, relative to the project's folder, or as patterns.

    ``metadata``: include readme and licences.
    """
    tool = table_at(document, "tool")
    found = [
        *_setuptools(tool, folder),
        *_setup_cfg(folder),
        *_hatch(table_at(tool, "hatch")),
        *_texts(table_at(tool, "pdm", "version").get("path")),
        *_flit(document, folder),
        *_poetry(table_at(tool, "poetry").get("build")),
        *_own_backend(table_at(document, "build-system"), folder),
        *(_project(table_at(document, "project"), folder) if metadata else ()),
    ]
    return [name for name in dict.fromkeys(found) if name and "\0" not in name]


def _setuptools(tool: dict[str, Any], folder: Path) -> Iterator[str]:
    options = table_at(tool, "setuptools")
    root = table_at(options, "package-dir").get("")
    fields = table_at(options, "dynamic")
    for source in (*fields.values(), *table_at(fields, "optional-dependencies").values()):
        if isinstance(source, dict):
            yield from _texts(source.get("file"))
            yield from _attribute(source.get("attr"), folder, root)


def _setup_cfg(folder: Path) -> Iterator[str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read(folder / "setup.cfg", encoding="utf-8")
        values = [
            value for section in ("metadata", "options") if section in parser for value in parser[section].values()
        ]
        root = parser.get("options", "package_dir", fallback="").partition("=")[2].strip()
    except (configparser.Error, OSError, UnicodeError):
        return
    for value in values:
        word, _, rest = (value or "").strip().partition(":")
        if word == "file":
            yield from (name.strip() for name in rest.split(","))
        elif word == "attr":
            yield from _attribute(rest.strip(), folder, root)


def _attribute(dotted: Any, folder: Path, root: Any) -> Iterator[str]:
    """The module files that may hold ``package.module.NAME``: those that exist in any folder that may hold code."""
    if not isinstance(dotted, str) or "." not in dotted:
        return
    module = dotted.rpartition(".")[0].replace(".", "/")
    for base in dict.fromkeys((root if isinstance(root, str) and root else ".", ".", "src")):
        for name in (f"{base}/{module}.py", f"{base}/{module}/__init__.py"):
            if (folder / name).is_file():
                yield name


def _hatch(hatch: dict[str, Any]) -> Iterator[str]:
    yield from _texts(table_at(hatch, "version").get("path"))
    build = table_at(hatch, "build")
    tables = [build, *(table_at(target) for target in table_at(build, "targets").values()), table_at(hatch, "metadata")]
    for table in tables:
        for name, hook in table_at(table, "hooks").items():
            yield from _texts(table_at(hook).get("path", "hatch_build.py" if name == "custom" else None))
            yield from _texts(table_at(hook).get("files"))


def _flit(document: dict[str, Any], folder: Path) -> Iterator[str]:
    """The module's own source, from which Flit reads version and summary."""
    if table_at(document, "build-system").get("build-backend") != "flit_core.buildapi":
        return
    project = table_at(document, "project")
    name = table_at(document, "tool", "flit", "module").get("name", project.get("name"))
    if project.get("dynamic") and isinstance(name, str):
        yield from _attribute(f"{name.replace('-', '_')}.version", folder, None)


def _poetry(build: Any) -> Iterator[str]:
    yield from _texts(table_at(build).get("script") if isinstance(build, dict) else build)


def _own_backend(system: dict[str, Any], folder: Path) -> Iterator[str]:
    backend = system.get("build-backend")
    for base in _texts(system.get("backend-path")):
        if isinstance(backend, str):
            yield from _attribute(f"{backend.partition(':')[0]}.", folder, base)


def _project(project: dict[str, Any], folder: Path) -> Iterator[str]:
    for field in ("readme", "license"):
        value = project.get(field)
        yield from _texts(value.get("file") if isinstance(value, dict) else value if field == "readme" else None)
    for pattern in _texts(project.get("license-files")):
        if pattern and not pattern.startswith("/") and "\0" not in pattern:
            yield from (path.relative_to(folder).as_posix() for path in folder.glob(pattern) if path.is_file())


def _texts(value: Any) -> list[str]:
    """A text, or the texts of a list, as a list; everything else is left out."""
    values = value if isinstance(value, list) else [value]
    return [item for item in values if isinstance(item, str)]
