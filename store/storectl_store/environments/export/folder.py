"""Write an export as a folder: beside its place first, then renamed, so that it is there as a whole or not at all."""

import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from storectl_store.environments.export.contents import Contents, ExportedFile
from storectl_store.environments.export.writing import Method, Told, write_file, writing_errors
from storectl_store.errors import ExportError

_BATCH = 64  # files of one piece of work


def export_to_folder(contents: Contents, folder: Path, method: Method, umask: int, told: Told) -> None:
    """Write the export to ``folder``, which does not exist or is empty; folders above it are made.

    Raises ExportError if something is there, if files cannot be had by this method, or if the folder is refused.
    """
    check_folder(folder, method)
    with writing_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            _Writer(stage, method, umask).write(contents, told)
            stage.rename(folder)
        except BaseException:
            shutil.rmtree(stage, ignore_errors=True)
            raise


def check_folder(folder: Path, method: Method) -> None:
    """Raise ExportError if no export by this method can be written there."""
    if os.path.lexists(folder) and (folder.is_symlink() or not folder.is_dir() or any(folder.iterdir())):
        raise ExportError(
            f"{folder} is there already; an export needs a new or an empty folder",
            hint="name another folder, or remove this one first",
            path=str(folder),
        )
    if method is Method.HARDLINK and os.geteuid() == 0:
        raise ExportError(
            "hard links are not for root, whose programs could write into the store through them",
            hint="use --reflink or --copy",
        )


class _Writer:
    """Writes below ``stage``, with the modes that the umask of the command leaves."""

    def __init__(self, stage: Path, method: Method, umask: int) -> None:
        self._stage = str(stage)
        self._method = method
        self._mode, self._executable = 0o666 & ~umask, 0o777 & ~umask

    def write(self, contents: Contents, told: Told) -> None:
        """Write everything."""
        for folder in contents.folders:
            os.mkdir(f"{self._stage}/{folder}", 0o700)
        for path, target in contents.links.items():
            os.symlink(target, f"{self._stage}/{path}")
        files = list(contents.files.items())
        batches = [files[start : start + _BATCH] for start in range(0, len(files), _BATCH)]
        pool = ThreadPoolExecutor(os.cpu_count())
        try:
            for written in pool.map(self._write, batches):
                told(written)
        finally:
            pool.shutdown(cancel_futures=True)
        for folder in ("", *contents.folders):
            os.chmod(f"{self._stage}/{folder}", self._executable)

    def _write(self, files: list[tuple[str, ExportedFile]]) -> int:
        for path, file in files:
            mode = self._executable if file.executable else self._mode
            write_file(f"{self._stage}/{path}", file, self._method, mode)
        return len(files)
