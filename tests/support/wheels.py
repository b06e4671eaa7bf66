"""A factory of small real wheels, as a build backend would write them."""

import base64
import hashlib
import io
import uuid
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field

from packaging.utils import canonicalize_name


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelBytes:
    """A finished wheel: its file name, its bytes, its sha256 hex digest."""

    name: str
    version: str
    filename: str
    data: bytes

    @property
    def hexdigest(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def digest(self) -> str:
        return f"sha256:{self.hexdigest}"


@dataclass(kw_only=True)
class WheelRecipe:
    """What a wheel is to hold. ``files`` maps archive names to contents; names in ``executable`` get mode 0755.

    ``extra_dist_info`` adds files to the dist-info folder; ``record`` replaces the generated RECORD.
    """

    name: str = "sample"
    version: str = "1.0"
    tag: str = "py3-none-any"
    build: str = ""
    files: Mapping[str, bytes | str] = field(default_factory=dict)
    executable: frozenset[str] = frozenset()
    requires_dist: tuple[str, ...] = ()
    provides_extra: tuple[str, ...] = ()
    requires_python: str = ""
    entry_points: str = ""
    purelib: bool = True
    extra_dist_info: Mapping[str, bytes | str] = field(default_factory=dict)
    record: bytes | None = None
    compression: int = zipfile.ZIP_DEFLATED

    @property
    def stem(self) -> str:
        return f"{canonicalize_name(self.name).replace('-', '_')}-{self.version}"

    @property
    def filename(self) -> str:
        build = f"-{self.build}" if self.build else ""
        return f"{self.stem}{build}-{self.tag}.whl"

    def metadata(self) -> str:
        lines = ["Metadata-Version: 2.1", f"Name: {self.name}", f"Version: {self.version}"]
        lines += [f"Provides-Extra: {extra}" for extra in self.provides_extra]
        lines += [f"Requires-Dist: {requirement}" for requirement in self.requires_dist]
        if self.requires_python:
            lines.append(f"Requires-Python: {self.requires_python}")
        return "\n".join(lines) + "\n"

    def wheel_file(self) -> str:
        python, abi, platform = self.tag.split("-")
        tags = [f"{p}-{a}-{q}" for p in python.split(".") for a in abi.split(".") for q in platform.split(".")]
        lines = ["Wheel-Version: 1.0", "Generator: factory", f"Root-Is-Purelib: {str(self.purelib).lower()}"]
        lines += [f"Build: {self.build}"] if self.build else []
        return "\n".join(lines + [f"Tag: {tag}" for tag in tags]) + "\n"

    def members(self) -> dict[str, bytes]:
        """Every member but RECORD, in archive order."""
        dist_info = f"{self.stem}.dist-info"
        members = {name: _bytes(content) for name, content in self.files.items()}
        members[f"{dist_info}/METADATA"] = self.metadata().encode()
        members[f"{dist_info}/WHEEL"] = self.wheel_file().encode()
        if self.entry_points:
            members[f"{dist_info}/entry_points.txt"] = self.entry_points.encode()
        members.update({f"{dist_info}/{name}": _bytes(content) for name, content in self.extra_dist_info.items()})
        return members

    def build_wheel(self) -> WheelBytes:
        members = self.members()
        record_name = f"{self.stem}.dist-info/RECORD"
        members[record_name] = self.record if self.record is not None else record_of(members, record_name)
        return WheelBytes(
            name=self.name,
            version=self.version,
            filename=self.filename,
            data=zip_bytes(members, executable=self.executable, compression=self.compression),
        )


def make_wheel(name: str = "sample", version: str = "1.0", **recipe: object) -> WheelBytes:
    """A wheel in one call; without ``files`` it holds one module named after the project."""
    module = canonicalize_name(name).replace("-", "_")
    recipe.setdefault("files", {f"{module}/__init__.py": f"__version__ = {version!r}\n"})
    return WheelRecipe(name=name, version=version, **recipe).build_wheel()  # type: ignore[arg-type]


def fresh_wheel(name: str = "sample", version: str = "1.0", **recipe: object) -> WheelBytes:
    """A wheel that is like no other, which a store that others use has not."""
    return make_wheel(name, version, **recipe, extra_dist_info={"FRESH": uuid.uuid4().hex})


def record_of(members: Mapping[str, bytes], record_name: str) -> bytes:
    rows = [f"{_quoted(name)},sha256={_urlsafe_sha256(data)},{len(data)}" for name, data in members.items()]
    return "\n".join([*rows, f"{_quoted(record_name)},,", ""]).encode()


def zip_bytes(
    members: Mapping[str, bytes],
    *,
    executable: frozenset[str] = frozenset(),
    compression: int = zipfile.ZIP_DEFLATED,
) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name, date_time=(2020, 1, 1, 0, 0, 0))
            info.external_attr = (0o100755 if name in executable else 0o100644) << 16
            info.compress_type = compression
            archive.writestr(info, data)
    return buffer.getvalue()


def _bytes(content: bytes | str) -> bytes:
    return content.encode() if isinstance(content, str) else content


def _quoted(name: str) -> str:
    return f'"{name}"' if "," in name else name


def _urlsafe_sha256(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
