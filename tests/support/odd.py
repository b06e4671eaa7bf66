"""Odd wheels, such as real projects have published, that must pass."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace

from support.hostile import Wheel
from support.zip_pieces import (
    ABSENT,
    DIST_INFO,
    MODULE,
    SOUND,
    SOUND_CONTENTS,
    archive_of,
    described,
    first,
    record_bytes,
    record_row,
    rows_of,
    unicode_path,
    wheel_bytes,
    zip64_field,
)


def _odd() -> Iterator[Wheel]:
    module = SOUND.pieces[0]
    size, packed = len(module.content), len(module.packed_bytes)
    both = zip64_field(size, packed)
    wide = {"size": ABSENT, "packed_size": ABSENT, "extra": both}
    rows = rows_of(SOUND_CONTENTS)
    hexadecimal = [[p, f"sha256={hashlib.sha256(SOUND_CONTENTS[p]).hexdigest()}", s] for p, _, s in rows[:-1]]
    archives = {
        "sound": SOUND,
        "comment": replace(SOUND, comment=b"made by hand"),
        "descriptor, 32 bit": described("<LLL", signature=False),
        "descriptor, 32 bit with signature": described("<LLL", signature=True),
        "descriptor, 64 bit": described("<LQQ", signature=False),
        "descriptor, 64 bit with signature": described("<LQQ", signature=True),
        "descriptor that repeats the local header": described("<LLL", signature=True, local={}),
        "zip64 in the local header": first(local=wide),
        "zip64 in both headers": first(local=wide, central=wide),
        "zip64 without need": first(local={"extra": both}, central={"extra": both}),
        "zip64 end record": replace(SOUND, zip64={}),
        "zip64 end record that is needed": replace(
            SOUND, zip64={}, end={"count": 0xFFFF, "here": 0xFFFF, "start": ABSENT, "size": ABSENT}
        ),
        "unicode path that agrees": first(central={"extra": unicode_path(module.name, module.name)}),
        "time stamps": first(local={"extra": b"UT\x05\x00\x01abcd"}),
        "stored": first(method=0),
        "mode unknown": first(mode=0),
        "world-writable": first(mode=0o100777),
        "directory in another order": replace(SOUND, order=(3, 1, 0, 2)),
        "paths after a slash": archive_of(SOUND_CONTENTS, record_bytes([["/" + r[0], *r[1:]] for r in rows])),
        "digests in hex": archive_of(SOUND_CONTENTS, record_bytes([*hexadecimal, rows[-1]])),
        "sha512": archive_of(
            SOUND_CONTENTS, record_bytes([record_row(MODULE, SOUND_CONTENTS[MODULE], "sha512"), *rows[1:]])
        ),
        "RECORD with CR LF": archive_of(SOUND_CONTENTS, record_bytes(rows).replace(b"\n", b"\r\n")),
        "unlisted signature": archive_of(SOUND_CONTENTS | {f"{DIST_INFO}/RECORD.jws": b"{}"}, record_bytes(rows)),
    }
    for name, archive in archives.items():
        yield Wheel(name=name, data=archive.assemble())
    yield from _odd_contents()


def _odd_contents() -> Iterator[Wheel]:
    good = SOUND_CONTENTS[f"{DIST_INFO}/WHEEL"]
    members: dict[str, dict[str, bytes]] = {
        "folder entries": {"sample/": b"", "sample/data/": b""},
        "bytecode": {"sample/__pycache__/__init__.cpython-312.pyc": b"evil"},
        "names beyond ASCII": {"sample/\u00fcn\u00efcode \u65e5\u672c.txt": b""},
        "empty file": {"sample/empty.py": b""},
        "entry points with extras": {f"{DIST_INFO}/entry_points.txt": b"[console_scripts]\na = sample:main [dev, x]\n"},
        "entry points with comments": {f"{DIST_INFO}/entry_points.txt": b"# x\n; y\n\n[z]\na b=c\n"},
        "dist-info below a package": {"sample/_vendor/other-1.0.dist-info/METADATA": b"x"},
        "folded tags": {f"{DIST_INFO}/WHEEL": good.replace(b"py3-none-any", b"py3-none-any\n     py3-none-any")},
        "byte order mark": {f"{DIST_INFO}/METADATA": b"\xef\xbb\xbf" + SOUND_CONTENTS[f"{DIST_INFO}/METADATA"]},
    }
    for name, files in members.items():
        yield Wheel(name=name, data=wheel_bytes(files))
    newer = good.replace(b"Wheel-Version: 1.0", b"Wheel-Version: 1.99")
    retagged = good.replace(b"py3-none-any", b"py2-none-any")
    yield Wheel(name="format 1.99", data=wheel_bytes({f"{DIST_INFO}/WHEEL": newer}), warning="newer than 1.0")
    yield Wheel(name="other tags", data=wheel_bytes({f"{DIST_INFO}/WHEEL": retagged}), warning="other tags")
    yield Wheel(name="locked", data=SOUND.assemble(), locked_name="sample", locked_version="1.0.0")
    yield Wheel(name="file name in other case", data=SOUND.assemble(), filename="Sample-1.0.0-py3-none-any.whl")


ODD: tuple[Wheel, ...] = tuple(_odd())
