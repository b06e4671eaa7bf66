"""Odd wheels, such as real projects have published, that must pass; ``warning`` is the rule that they break, if they do."""

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
    piece_of,
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
    yield from _untidy_archives()
    yield from _untidy_records()
    yield from _untidy_contents()


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
    yield Wheel(name="format 1.99", data=wheel_bytes({f"{DIST_INFO}/WHEEL": newer}), warning="W_WHEEL_VERSION")
    yield Wheel(name="other tags", data=wheel_bytes({f"{DIST_INFO}/WHEEL": retagged}), warning="W_WHEEL_TAGS")
    yield Wheel(name="locked", data=SOUND.assemble(), locked_name="sample", locked_version="1.0.0")
    yield Wheel(name="file name in other case", data=SOUND.assemble(), filename="Sample-1.0.0-py3-none-any.whl")


def _untidy_archives() -> Iterator[Wheel]:
    """Wheels that hold a file twice, with equal bytes."""
    data = "sample-1.0.data"
    module = SOUND_CONTENTS[MODULE]
    for kind in ("purelib", "platlib"):
        twice = wheel_bytes({f"{data}/{kind}/{MODULE}": module})
        yield Wheel(name=f"one file in the root and in {kind}", data=twice, warning="W_MEMBER_REPEATED")
    thrice = wheel_bytes({f"{data}/purelib/{MODULE}": module, f"{data}/platlib/{MODULE}": module})
    yield Wheel(name="one file in three places", data=thrice, warning="W_MEMBER_REPEATED")
    folder = wheel_bytes({"sample./": b""})
    yield Wheel(name="an empty folder with a dot, as in pyarrow 11.0.0", data=folder, warning="W_NAME_TRAILING")
    again = replace(SOUND, pieces=(*SOUND.pieces, piece_of(MODULE, module))).assemble()
    yield Wheel(name="one member twice, as in kolo 2.28.0", data=again, warning="W_MEMBER_REPEATED")


def _untidy_records() -> Iterator[Wheel]:
    rows = rows_of(SOUND_CONTENTS)
    (path, digest, size), rest = rows[0], rows[1:]
    itself = [f"{DIST_INFO}/RECORD", digest, size]
    cases: dict[str, tuple[bytes, str]] = {
        "empty": (b"", "W_RECORD_UNLISTED"),
        "a file that is not listed, as in FMPy 0.3.15": (record_bytes(rest), "W_RECORD_UNLISTED"),
        "does not list itself": (record_bytes(rows[:-1]), "W_RECORD_UNLISTED"),
        "a file that is not there": (record_bytes([*rows, ["sample/gone.py", digest, size]]), "W_RECORD_ABSENT"),
        "one row twice": (record_bytes([rows[0], *rows]), "W_RECORD_REPEATED"),
        "one row twice, once with a slash": (record_bytes([["/" + path, digest, size], *rows]), "W_RECORD_REPEATED"),
        "a digest of itself": (record_bytes([*rows[:-1], itself]), "W_RECORD_ITSELF"),
        "no digest": (record_bytes([[path, "", size], *rest]), "W_RECORD_DIGEST"),
        "an unknown digest": (record_bytes([[path, "crc32=AAAA", size], *rest]), "W_RECORD_DIGEST"),
        "md5": (record_bytes([record_row(path, SOUND_CONTENTS[path], "md5"), *rest]), "W_RECORD_DIGEST"),
        "no size": (record_bytes([[path, digest, ""], *rest]), "W_RECORD_SIZE"),
        "neither digest nor size": (record_bytes([[path, "", ""], *rest]), "W_RECORD_DIGEST"),
    }
    for name, (record, rule) in cases.items():
        yield Wheel(name=f"RECORD: {name}", data=archive_of(SOUND_CONTENTS, record).assemble(), warning=rule)


def _untidy_contents() -> Iterator[Wheel]:
    good, metadata = (SOUND_CONTENTS[f"{DIST_INFO}/{name}"] for name in ("WHEEL", "METADATA"))
    cases: dict[str, tuple[str, bytes, str]] = {
        "format twice": ("WHEEL", b"Wheel-Version: 1.0\n" + good, "W_META_REPEATED"),
        "no purelib": ("WHEEL", good.replace(b"Root-Is-Purelib: true\n", b""), "W_WHEEL_PURELIB"),
        "purelib maybe": ("WHEEL", good.replace(b"true", b"maybe"), "W_WHEEL_PURELIB"),
        "no tag": ("WHEEL", good.replace(b"Tag: py3-none-any\n", b""), "W_WHEEL_TAGS"),
        "a tag that is none": ("WHEEL", good.replace(b"py3-none-any", b"py3-none"), "W_WHEEL_TAGS"),
        "name twice": ("METADATA", b"Name: sample\n" + metadata, "W_META_REPEATED"),
        "NUL in the description": ("METADATA", metadata + b"\n\0", "W_META_TEXT"),
        "Latin-1 in the author": ("METADATA", metadata + b"Author: J\xfcrgen\n", "W_META_TEXT"),
    }
    for name, (file, content, rule) in cases.items():
        yield Wheel(name=f"{file}: {name}", data=wheel_bytes({f"{DIST_INFO}/{file}": content}), warning=rule)
    for name, (text, rule) in _ODD_SCRIPTS.items():
        content = b"[console_scripts]\n" + text.encode() + b"\n"
        data = wheel_bytes({f"{DIST_INFO}/entry_points.txt": content})
        yield Wheel(name=f"script: {name}", data=data, warning=rule)


_ODD_SCRIPTS: dict[str, tuple[str, str]] = {
    "plus": ("a+b = sample:main", ""),
    "space": ("a b = sample:main", ""),
    "at": ("a@b = sample:main", ""),
    "beyond ASCII": ("\u00fcn\u00ef = sample:main", ""),
    "two that differ in case": ("a = sample:main\nA = sample:other", ""),
    "slash": ("../evil = sample:main", "W_SCRIPT_NAME"),
    "backslash": ("..\\evil = sample:main", "W_SCRIPT_NAME"),
    "two dots": (".. = sample:main", "W_SCRIPT_NAME"),
    "escape sequence": ("a\x1b[2Jb = sample:main", "W_SCRIPT_NAME"),
    "256 bytes": (f"{'a' * 256} = sample:main", "W_SCRIPT_NAME"),
    "python": ("python = sample:main", "W_SCRIPT_INTERPRETER"),
    "Python3": ("Python3 = sample:main", "W_SCRIPT_INTERPRETER"),
    "python3.12": ("python3.12 = sample:main", "W_SCRIPT_INTERPRETER"),
    "number as attribute": ("a = sample:1", "W_SCRIPT_TARGET"),
    "empty piece": ("a = sample..x:main", "W_SCRIPT_TARGET"),
    "twice": ("a = sample:main\na = sample:other", "W_SCRIPT_REPEATED"),
    "in two groups": ("a = sample:main\n[gui_scripts]\na = sample:other", "W_SCRIPT_REPEATED"),
}


ODD: tuple[Wheel, ...] = tuple(_odd())
