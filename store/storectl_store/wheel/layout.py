"""Step 7: the layout of a wheel: one ``.dist-info`` and perhaps one ``.data``, with the wheel's own name and version.

<anything>                            site-packages
<name>-<version>.dist-info/           site-packages
<name>-<version>.data/
    purelib/ platlib/                 site-packages
    scripts/ data/ headers/           the parts of these names

(PEP 427, "File contents"; the parts are those of ``Part``.)
"""

import re
from collections.abc import Iterable, Sequence

from storectl_store.wheel.checked import Part
from storectl_store.wheel.filename import WheelFilename
from storectl_store.wheel.refusal import Code, refused, shown

_DIST_INFO = ".dist-info"
_DATA = ".data"
_PARTS = {
    "purelib": Part.SITE_PACKAGES,
    "platlib": Part.SITE_PACKAGES,
    "scripts": Part.SCRIPTS,
    "data": Part.DATA,
    "headers": Part.HEADERS,
}
_INTERPRETER = re.compile(r"pythonw?[0-9.]*t?(?:\.exe)?", re.IGNORECASE)


def spread(name: str) -> tuple[Part, str]:
    """The place of a member: its part, and its path in it. Folder entries keep their final slash.

    A name below ``.data`` that is not laid out as it should be counts as site-packages: ``check_layout`` refuses it.
    """
    if _DATA not in name:  # most names: each file of a wheel is asked about three times
        return Part.SITE_PACKAGES, name
    top, _, rest = name.partition("/")
    if rest and top.endswith(_DATA):
        kind, slash, path = rest.partition("/")
        if slash and path and kind in _PARTS:
            return _PARTS[kind], path
    return Part.SITE_PACKAGES, name


def replaces_interpreter(script: str) -> bool:
    """Whether a script of this name would take the place of an environment's ``python``."""
    return _INTERPRETER.fullmatch(script) is not None


def check_layout(names: Sequence[str], filename: WheelFilename) -> str:
    """The name of the one ``.dist-info`` folder.

    Raises E_LAYOUT if it, ``.data``, or the paths in it are not as they should be.
    """
    below_data = [name for name in names if _DATA in name and name.partition("/")[0].endswith(_DATA)]
    for top in sorted({name.partition("/")[0] for name in below_data}):
        _check_owner(top, _DATA, filename)
    for name in below_data:
        _check_data(name)
    dist_info = _one_dist_info(names)
    _check_owner(dist_info, _DIST_INFO, filename)
    return dist_info


def _one_dist_info(names: Iterable[str]) -> str:
    paths = (path for part, path in map(spread, names) if part is Part.SITE_PACKAGES)
    found = sorted({top for top in (path.partition("/")[0] for path in paths) if top.lower().endswith(_DIST_INFO)})
    if len(found) != 1:
        raise refused(Code.LAYOUT, f"expected one .dist-info folder, found {shown(', '.join(found) or 'none')}")
    return found[0]


def _check_owner(folder: str, suffix: str, filename: WheelFilename) -> None:
    name, _, version = folder.removesuffix(suffix).rpartition("-")
    if not folder.endswith(suffix) or not filename.fits(name, version):
        expected = f"{filename.name}-{filename.version}{suffix}"
        raise refused(Code.LAYOUT, f"the folder {shown(folder)} is not {expected}", member=folder)


def _check_data(name: str) -> None:
    kind, _, path = name.partition("/")[2].partition("/")
    if kind not in _PARTS and (kind or path):
        raise refused(Code.LAYOUT, f"{shown(name)} is none of {', '.join(_PARTS)}", member=name)
    if kind in _PARTS and not name.endswith("/") and not path:
        raise refused(Code.LAYOUT, f"{shown(name)} is a file where a folder must be", member=name)
    fault = _fault(kind, path.removesuffix("/"))
    if fault:
        raise refused(Code.LAYOUT, f"{shown(name)} {fault}", member=name)


def _fault(kind: str, path: str) -> str | None:
    """The fault of a path of a part that goes into an environment, as the end of a sentence; None if it has none."""
    parts = path.split("/")
    if kind == "scripts" and replaces_interpreter(parts[0]):
        return "would replace the interpreter"
    if kind != "data":
        return None
    if parts[0].lower() == "pyvenv.cfg" or (
        len(parts) > 1 and parts[0].lower() in ("bin", "scripts") and replaces_interpreter(parts[1])
    ):
        return "would replace a part of the environment"
    if "site-packages" in (part.lower() for part in parts):
        return "goes around site-packages"
    return None
