"""The RECORD of an entry: every file of the wheel at its place in an environment, as an installer writes it.

Rows are ``path,sha256=<urlsafe base64, unpadded>,<size in bytes>``, sorted; paths are relative to site-packages (the
"Recording installed projects" specification). Files of a wheel's ``.data`` folder stand in RECORD below ``../../..``,
three folders above ``lib/pythonX.Y/site-packages``: programs find their data files and commands that way
(``importlib.metadata.files``). Commands have no digest, since each environment writes its own first line. Headers are
left out: the name of their folder contains the Python version, and one entry serves all versions.
"""

import base64
import csv
import io
from collections.abc import Iterable

from storectl_store.entries.manifest import ManifestFile
from storectl_store.wheel.checked import EntryPoint, Part

_PREFIX = "../../.."


def installed_record(dist_info: str, files: Iterable[ManifestFile], entry_points: Iterable[EntryPoint]) -> bytes:
    """The content of ``<dist_info>/RECORD`` for these files of an entry; RECORD itself is not among them."""
    rows = {(f"{dist_info}/RECORD", "", "")}
    rows.update(_row(file) for file in files if file.part is not Part.HEADERS)
    rows.update((f"{_PREFIX}/bin/{point.name}", "", "") for point in entry_points)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(sorted(rows))
    return text.getvalue().encode()


def _row(file: ManifestFile) -> tuple[str, str, str]:
    if file.part is Part.SCRIPTS:
        return f"{_PREFIX}/bin/{file.path}", "", ""
    path = file.path if file.part is Part.SITE_PACKAGES else f"{_PREFIX}/{file.path}"
    digest = base64.urlsafe_b64encode(bytes.fromhex(file.sha256)).rstrip(b"=").decode()
    return path, f"sha256={digest}", str(file.size)
