"""The check of a wheel: ten steps, in this order, before a byte of it is unpacked.

1 size and digest, 2 structure, 3 names, 4 features, 5 limits, 6 collisions, 7 layout, 8 metadata, 9 RECORD, 10 entry
points. The contents of members are proven later, while they are unpacked, against the digests that this check hands on.
A wheel that is an attack or damaged is refused; one that is only untidy passes, with a warning that names the rule
(docs/wheel-checks.md).
"""

from collections.abc import Mapping
from mmap import mmap

from storectl_store.digest import Digest
from storectl_store.errors import WheelError
from storectl_store.wheel.archive import read_archive
from storectl_store.wheel.archive_record import ArchiveRecord
from storectl_store.wheel.checked import CheckedWheel, EntryPoint, Expectation
from storectl_store.wheel.collisions import check_collisions, check_twins
from storectl_store.wheel.contents import read_contents
from storectl_store.wheel.digests import verify_digests
from storectl_store.wheel.entry_points import parse_entry_points
from storectl_store.wheel.features import check_features
from storectl_store.wheel.filename import parse_filename
from storectl_store.wheel.layout import check_layout
from storectl_store.wheel.limits import check_limits
from storectl_store.wheel.members import place_members
from storectl_store.wheel.metadata import check_metadata, check_wheel_file
from storectl_store.wheel.names import decode_names
from storectl_store.wheel.record import check_record, longest_record
from storectl_store.wheel.refusal import Code, refused, shown
from storectl_store.wheel.remarks import Remarks

_LIMITS = {"METADATA": 16 << 20, "WHEEL": 1 << 20, "entry_points.txt": 1 << 20}
"""Most bytes of the files that are read here, except RECORD, whose length depends on the others."""
_CODES = {"METADATA": Code.META, "WHEEL": Code.META, "RECORD": Code.RECORD}
"""The codes for the files that have to be there."""


def check_wheel(data: mmap | bytes, expectation: Expectation, *, verified: Digest | None = None) -> CheckedWheel:
    """The wheel in ``data``, if it passes every step. Raises WheelError with the code of the first step that it fails.

    ``verified`` is for a caller that has itself computed the sha256 of exactly these bytes while they came in. It is
    compared with the expectation, and the bytes are not hashed again. The other strong digests are always computed
    here.
    """
    try:
        verify_digests(data, expectation, verified=verified)
        return _check_verified(data, expectation)
    except WheelError as error:
        message = f"{shown(expectation.filename)}: {error.message}"
        raise WheelError(message, code=error.code, hint=error.hint, **error.facts) from error


def _check_verified(data: mmap | bytes, expectation: Expectation) -> CheckedWheel:
    remarks = Remarks()
    records = read_archive(data)
    names = decode_names(records, remarks)
    check_features(records, names)
    check_limits(records, names)
    members = list(zip(names, records, strict=True))
    twins = check_collisions(members)
    filename = parse_filename(expectation.filename)
    dist_info = check_layout(names, filename)
    files = {name: record for name, record in members if not name.endswith("/")}
    special = _DistInfo(data, dist_info, files)
    wheel = check_wheel_file(special.read("WHEEL"), special.path("WHEEL"), filename, remarks)
    metadata = check_metadata(special.read("METADATA"), special.path("METADATA"), filename, expectation, remarks)
    digests = check_record(special.read("RECORD"), dist_info, files, data, remarks)
    left_out = check_twins(data, members, twins, digests, remarks)
    kept = {name: record for n, (name, record) in enumerate(members) if name in files and n not in left_out}
    return CheckedWheel(
        filename=expectation.filename,
        name=filename.name,
        version=str(filename.version),
        tags=filename.tags,
        root_is_purelib=wheel.root_is_purelib,
        dist_info=dist_info,
        members=place_members(kept, digests),
        entry_points=_entry_points(special, remarks),
        requires_dist=metadata.requires_dist,
        warnings=remarks.lines(),
    )


def _entry_points(special: "_DistInfo", remarks: Remarks) -> tuple[EntryPoint, ...]:
    member = special.path("entry_points.txt")
    return parse_entry_points(special.read("entry_points.txt"), member, remarks) if member in special.files else ()


class _DistInfo:
    """The files of the dist-info folder that are read during the check."""

    def __init__(self, data: mmap | bytes, folder: str, files: Mapping[str, ArchiveRecord]) -> None:
        self.files = files
        self._data = data
        self._folder = folder

    def path(self, name: str) -> str:
        return f"{self._folder}/{name}"

    def read(self, name: str) -> bytes:
        member = self.path(name)
        if member not in self.files:
            raise refused(_CODES[name], f"{shown(member)} is missing", member=member)
        limit = _LIMITS[name] if name in _LIMITS else longest_record(self.files)
        return read_contents(self._data, self.files[member], limit=limit)
