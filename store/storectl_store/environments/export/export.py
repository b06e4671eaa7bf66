"""Export a published environment as a plain virtual environment: a folder, or a tar archive of one."""

import os
from dataclasses import dataclass
from pathlib import Path
from posixpath import dirname

from storectl_store.entries.layout import StoreLayout
from storectl_store.environments.environment_record import read_environment
from storectl_store.environments.export.activation import export_activation
from storectl_store.environments.export.archive import check_archive, export_to_archive
from storectl_store.environments.export.contents import Contents, own_file, read_contents
from storectl_store.environments.export.folder import check_folder, export_to_folder
from storectl_store.environments.export.records import set_records_right
from storectl_store.environments.export.writing import Method, Told, writing_errors


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOrder:
    """Where an export goes: to ``folder``, or into ``archive``, whose files all have the time ``moment`` (seconds).

    If the export is not ``relocatable``, scripts name the Python of ``folder``. ``umask`` is that of the command.
    """

    folder: Path | None
    archive: Path | None
    relocatable: bool
    method: Method
    umask: int
    moment: int

    def check(self) -> None:
        """Raise ExportError if nothing can be written there."""
        if self.archive is not None:
            check_archive(self.archive)
        elif self.folder is not None:
            check_folder(self.folder, self.method)


def read_export(layout: StoreLayout, environment: Path, order: ExportOrder) -> Contents:
    """Everything that is to be written. Raises ExportError, StoreFormatError or EnvironmentBuildError."""
    record = read_environment(environment)
    with writing_errors(environment):
        contents = read_contents(layout, environment, record, None if order.relocatable else order.folder)
        set_records_right(contents, record.cache_tag)
    scripts = export_activation(order.folder, contents.site_packages, relocatable=order.relocatable)
    contents.files.update({path: own_file(script) for path, script in scripts.items()})
    return contents


def local_folders(contents: Contents) -> list[str]:
    """The folders that ``.pth`` files of the export name: code there is not copied."""
    starting = (path for path in contents.files if path.endswith(".pth") and dirname(path) == contents.site_packages)
    lines = (line for path in starting for line in contents.files[path].read().splitlines())
    return sorted({os.fsdecode(line) for line in lines if line.startswith(b"/")})


def write_export(contents: Contents, order: ExportOrder, told: Told) -> None:
    """Write it. Raises ExportError, or StoreFullError if the disk refuses."""
    if order.archive is not None:
        export_to_archive(contents, order.archive, order.moment, order.umask, told)
    elif order.folder is not None:
        export_to_folder(contents, order.folder, order.method, order.umask, told)
