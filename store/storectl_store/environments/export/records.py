"""RECORD of exported projects: it lists every file, as pip writes it.

The entry's RECORD says what the wheel brought. Here it is put right for one place: commands have their digest, headers,
bytecode and what storectl added are listed, and what is not there is left out.
"""

import base64
import csv
import hashlib
import io
import posixpath
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from packaging.utils import canonicalize_name

from storectl_store.environments.export.contents import Contents, ExportedFile, own_file
from storectl_store.environments.planning.overlap import BYTECODE_FOLDER

_INFO = ".dist-info"


def set_records_right(contents: Contents, cache_tag: str) -> None:
    """Replace the RECORD of every project in the export. May raise OSError."""
    beside = _beside(contents)
    for info in [folder for folder in contents.folders if _is_info(folder, contents.site_packages)]:
        record = f"{info}/RECORD"
        if record in contents.files:
            rows = dict(_rows(contents, Path(contents.files[record].source), cache_tag))
            rows |= {path: _told(contents.files[path]) for path in beside[_key(info)] if path not in rows}
            contents.files[record] = own_file(_encoded({**rows, record: ("", "")}, contents.site_packages))


def _is_info(folder: str, site_packages: str) -> bool:
    return posixpath.dirname(folder) == site_packages and folder.endswith(_INFO)


def _beside(contents: Contents) -> Mapping[str, Sequence[str]]:
    """The files of metadata and the headers, by project: an entry's RECORD may lack some of them."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for path in contents.files:
        first, _, rest = path.partition("/")
        if path.startswith(f"{contents.site_packages}/") and f"{_INFO}/" in path:
            found[_key(path.partition(f"{_INFO}/")[0])].append(path)
        elif first == "include" and rest.count("/") > 2:  # include/site/pythonX.Y/<project>/…
            found[canonicalize_name(rest.split("/")[2])].append(path)
    return found


def _key(info: str) -> str:
    """The normalised name of the project with this metadata folder."""
    return canonicalize_name(posixpath.basename(info).removesuffix(_INFO).rpartition("-")[0])


def _rows(contents: Contents, record: Path, cache_tag: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """The rows of the entry's RECORD for what is exported, by path in the export; each module's bytecode after it."""
    text = record.read_bytes().decode("utf-8", "surrogateescape")
    for listed, digest, size in csv.reader(io.StringIO(text, newline="")):
        path = posixpath.normpath(f"{contents.site_packages}/{listed}")
        if path not in contents.files:
            continue
        yield path, (digest, size) if digest else _told(contents.files[path])
        folder, _, name = path.rpartition("/")
        bytecode = f"{folder}/{BYTECODE_FOLDER}/{name.removesuffix('.py')}.{cache_tag}.pyc"
        if name.endswith(".py") and bytecode in contents.files:
            yield bytecode, ("", "")


def _told(file: ExportedFile) -> tuple[str, str]:
    content = Path(file.source).read_bytes() if file.content is None else file.content
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"sha256={digest}", str(len(content))


def _encoded(rows: Mapping[str, tuple[str, str]], site_packages: str) -> bytes:
    text = io.StringIO()
    listed = ((posixpath.relpath(path, site_packages), *rows[path]) for path in sorted(rows))
    csv.writer(text, lineterminator="\n").writerows(listed)
    return text.getvalue().encode("utf-8", "surrogateescape")
