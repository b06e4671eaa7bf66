"""The editable wheel of a project that needs no build: its metadata, its entry points, and the folders of its code.

    <name>-<version>.dist-info/METADATA WHEEL RECORD [entry_points.txt] [licenses/…]
    _editable_<name>.pth              one line for each import root, absolute

With ``flat-source = true`` in ``[tool.storectl]`` the folder ``src`` is the package of the project's name
(``entries.flat_source``).

A build backend's PEP 660 hook makes the same for a pure project. The bytes are a pure function of the files read, so an
unchanged project has one entry in the store however often it is asked for.
"""

import base64
import csv
import hashlib
import io
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from pyproject_metadata import ConfigurationError, StandardMetadata

from storectl_store.digest import Digest, digest_of_hex
from storectl_store.entries.flat_source import FLAT_SOURCE, PTH_LINE, encode_flat_source
from storectl_store.errors import EnvironmentBuildError
from storectl_store.projects.import_roots import import_roots, moved
from storectl_store.projects.static_metadata import is_flat, static_project
from storectl_store.selection.pin import LocalProject

_DATE = (1980, 1, 1, 0, 0, 0)
_WHEEL = b"Wheel-Version: 1.0\nGenerator: storectl\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class EditableWheel:
    """A wheel in memory."""

    filename: str
    version: str
    content: bytes

    @property
    def digest(self) -> Digest:
        """The sha256 of the wheel."""
        return digest_of_hex(hashlib.sha256(self.content).hexdigest())


def editable_wheel(project: LocalProject, seen: Path | None = None) -> EditableWheel | None:
    """Make the wheel of a packaged local project; None if only its build backend can make one.

    ``seen`` is the folder to look into instead of the project's own: a copy of it as it will be. Raises
    EnvironmentBuildError if ``[project]`` is not valid, or if the code cannot be imported from its folder.
    """
    folder = seen or Path(project.path)
    document = static_project(folder)
    if document is None:
        return None
    metadata = _metadata(document, folder)
    version = str(metadata.version)
    package = canonicalize_name(metadata.name).replace("-", "_")
    info = f"{package}-{version}.dist-info"
    files: dict[str, bytes] = {}
    if is_flat(document):
        source = moved(_flat_folder(folder, package), str(folder), project.path)
        lines, files[f"{info}/{FLAT_SOURCE}"] = PTH_LINE, encode_flat_source(package, source)
    else:
        lines = b"".join(os.fsencode(root) + b"\n" for root in import_roots(project, seen))
    files[f"_editable_{package}.pth"] = lines
    files[f"{info}/METADATA"] = bytes(metadata.as_rfc822())
    files[f"{info}/WHEEL"] = _WHEEL
    if text := _entry_points(metadata):
        files[f"{info}/entry_points.txt"] = text
    for path in metadata.license_files or ():
        files[f"{info}/licenses/{path.as_posix()}"] = (folder / path).read_bytes()
    filename = f"{package}-{version}-py3-none-any.whl"
    return EditableWheel(filename=filename, version=version, content=_archive(files, info))


def _flat_folder(project: Path, package: str) -> str:
    folder = project / "src"
    if not (folder / "__init__.py").is_file() or not package.isidentifier():
        raise EnvironmentBuildError(
            f"{project / 'pyproject.toml'}: `flat-source`: src/__init__.py is to be the package {package}",
            hint="make that file, name the project as a package can be named, or take `flat-source` out",
            path=str(project),
        )
    return str(folder)


def _metadata(document: dict[str, Any], folder: Path) -> StandardMetadata:
    try:
        return StandardMetadata.from_pyproject(document, folder)
    except (ConfigurationError, ValueError, OSError) as error:
        message = " ".join(str(error).split())
        raise EnvironmentBuildError(
            f"{folder / 'pyproject.toml'}: {message}", hint="correct its [project] table", path=str(folder)
        ) from error


def _entry_points(metadata: StandardMetadata) -> bytes:
    """The content of ``entry_points.txt``, with its groups and names sorted; empty if there are none."""
    groups: dict[str, Mapping[str, str]] = {
        "console_scripts": metadata.scripts,
        "gui_scripts": metadata.gui_scripts,
        **metadata.entrypoints,
    }
    parts = [
        "\n".join([f"[{group}]", *(f"{name} = {value}" for name, value in sorted(points.items())), ""])
        for group, points in sorted(groups.items())
        if points
    ]
    return "\n".join(parts).encode()


def _archive(files: Mapping[str, bytes], info: str) -> bytes:
    rows = [[path, f"sha256={_encoded(content)}", str(len(content))] for path, content in sorted(files.items())]
    record = io.StringIO()
    csv.writer(record, lineterminator="\n").writerows([*rows, [f"{info}/RECORD", "", ""]])
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path, content in [*sorted(files.items()), (f"{info}/RECORD", record.getvalue().encode())]:
            member = zipfile.ZipInfo(path, _DATE)
            member.external_attr = 0o100644 << 16
            archive.writestr(member, content)
    return out.getvalue()


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
