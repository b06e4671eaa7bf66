"""``image.json``, the first member of an image: what is in it, and what it needs. Format 1, one JSON object.

    <name>.storectl-image     a tar archive, as it is or as one gzip stream
      image.json              this
      VERSION  environments/<id>/  store/…  meta/…  packs/<id>     a store of one environment (entries/layout.py)

Links in it are relative, but for two kinds: those to the interpreter, and, if the image is ``hot``, those to files
and whole folders of the layers that ``layers`` names. So what is unpacked is a layer wherever it is.

``tree`` is a sha256 over all of it: first this object without ``tree``, then every member but image.json, sorted by
path. Each is one line of JSON: ``[path, "d"]``, ``[path, "l", target]`` or
``[path, "f", executable, size, sha256 of the content]``.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from storectl_store.digest import Digest, EnvironmentId, digest_of_hex, is_environment_id, parse_digest
from storectl_store.errors import ImageError

IMAGE_FORMAT = 1
HEAD_NAME = "image.json"
LARGEST_HEAD = 1 << 20
"""Bytes of ``image.json`` that are read."""

FULL, HOT = "full", "hot"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageHead:
    """What an image says of itself.

    ``executable`` is the interpreter, which has to be there; ``platform`` is what ``sysconfig`` calls the machine.
    ``lock`` is the sha256 of the lock file, ``options`` are those that chose the environment. ``layers`` are the roots
    of the stores that a hot image needs, ``entries`` are what it needs of them: folders, absolute. ``local`` are the
    folders of code that is in no store. ``members`` and ``size`` count what comes after, size in bytes.
    """

    environment: EnvironmentId
    kind: str
    executable: str
    version: str
    cache_tag: str
    platform: str
    lock: Digest | None
    options: tuple[str, ...]
    layers: tuple[str, ...]
    entries: tuple[str, ...]
    local: tuple[str, ...]
    members: int
    size: int
    tree: Digest


def encode_head(head: ImageHead) -> bytes:
    """The content of ``image.json``."""
    value = {"format": IMAGE_FORMAT, **asdict(head)}
    return json.dumps(value, indent=1, sort_keys=True).encode() + b"\n"


def decode_head(data: bytes, source: str) -> ImageHead:
    """The head in these bytes of an image with the name ``source``. Raises ImageError if this version reads none."""
    try:
        value: dict[str, Any] = json.loads(data)
        found = value.pop("format")
        if found != IMAGE_FORMAT:
            raise ImageError(
                f"{source} is an image of format {found!r}, and this storectl reads {IMAGE_FORMAT}",
                hint="build it again with this version",
                path=source,
            )
        return _checked(ImageHead(**{name: _kept(value.pop(name)) for name in _NAMES}, **value))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ImageError(
            f"{source} is not an image that can be read: its {HEAD_NAME} is wrong",
            hint="build or copy it again",
            path=source,
        ) from error


_NAMES = tuple(field.name for field in fields(ImageHead))
_TEXTS = ("kind", "executable", "version", "cache_tag", "platform")
_LISTS = ("options", "layers", "entries", "local")


def _kept(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _checked(head: ImageHead) -> ImageHead:
    """The head, if its values are of the kinds that they should be. Raises ValueError otherwise."""
    texts = [getattr(head, name) for name in _TEXTS] + [text for name in _LISTS for text in getattr(head, name)]
    if not all(isinstance(text, str) for text in texts) or type(head.members) is not int or type(head.size) is not int:
        raise TypeError
    if head.kind not in (FULL, HOT) or not is_environment_id(head.environment):
        raise ValueError(head.kind)
    if any(not path.startswith("/") or ".." in path.split("/") for path in (*head.layers, *head.entries)):
        raise ValueError(head.kind)
    return replace(head, tree=parse_digest(head.tree), lock=None if head.lock is None else parse_digest(head.lock))


class TreeDigest:
    """Counts what is in an image, in any order."""

    def __init__(self) -> None:
        self._lines: dict[str, str] = {}
        self.size = 0

    @property
    def members(self) -> int:
        """How many there are so far."""
        return len(self._lines)

    def add_folder(self, path: str) -> None:
        """A folder."""
        self._add(path, "d")

    def add_link(self, path: str, target: str) -> None:
        """A symbolic link."""
        self._add(path, "l", target)

    def add_file(self, path: str, size: int, sha256: str, *, executable: bool) -> None:
        """A file with this content."""
        self.size += size
        self._add(path, "f", executable, size, sha256)

    def _add(self, path: str, *what: object) -> None:
        if path in self._lines:
            raise ValueError(path)
        self._lines[path] = json.dumps([path, *what]) + "\n"

    def under(self, head: ImageHead) -> Digest:
        """The digest of all that was added, under this head."""
        value = asdict(replace(head, tree=Digest("")))
        counted = hashlib.sha256(json.dumps({"format": IMAGE_FORMAT, **value}, sort_keys=True).encode() + b"\n")
        for path in sorted(self._lines):
            counted.update(self._lines[path].encode())
        return digest_of_hex(counted.hexdigest())
