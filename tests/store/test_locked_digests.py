"""Digests as lock files state them: any strong algorithm will do, none that is weak."""

import hashlib
from pathlib import Path

import pytest

from storectl_store.digest import STRONG_ALGORITHMS, algorithm_of, is_sha256, parse_strong_digest
from storectl_store.errors import LockFileError
from storectl_store.selection.locked_digests import of_one_file, strongest
from storectl_store.selection.pin import IndexPin, Pin, Selection, SourceArchive, SourcePin
from storectl_store.selection.reading import read_lock_file
from storectl_store.selection.select import select
from support.index import LoopbackIndex
from support.project import lock_file_text
from support.targets import make_target
from support.wheels import WheelBytes, make_wheel

WHEEL = make_wheel("alpha")


def digest_by(algorithm: str, wheel: WheelBytes = WHEEL) -> str:
    return f"{algorithm}:{hashlib.new(algorithm, wheel.data).hexdigest()}"


@pytest.mark.parametrize("algorithm", STRONG_ALGORITHMS)
def test_every_strong_algorithm_is_known_with_its_length(algorithm: str) -> None:
    digest = parse_strong_digest(digest_by(algorithm).upper())
    assert (digest, algorithm_of(digest)) == (digest_by(algorithm), algorithm)
    assert is_sha256(digest) == (algorithm == "sha256")


@pytest.mark.parametrize(
    "text", ["md5:" + "0" * 32, "sha1:" + "0" * 40, "sha512:" + "0" * 64, "sha256:zz", "0" * 64, ""]
)
def test_everything_else_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"digest|hex digits"):
        parse_strong_digest(text)


def test_of_several_digests_of_a_file_its_sha256_is_taken_else_another_strong_one() -> None:
    hashes = {name: hashlib.new(name, WHEEL.data).hexdigest() for name in ("md5", "sha384", "sha512", "sha256")}
    assert strongest(hashes) == WHEEL.digest
    del hashes["sha256"]
    assert strongest(hashes) == digest_by("sha512")
    assert strongest({"md5": hashes["md5"]}) is None
    assert of_one_file({parse_strong_digest(digest_by(name)) for name in ("sha384", "sha256")}) == WHEEL.digest
    assert of_one_file({parse_strong_digest(f"sha256:{number * 64}") for number in "12"}) is None
    assert of_one_file(()) is None


def relocked(text: str, algorithm: str) -> str:
    """The lock file with the wheel's digest by another algorithm."""
    name, _, digits = digest_by(algorithm).partition(":")
    return text.replace(WHEEL.digest, f"{name}:{digits}").replace(
        f'sha256 = "{WHEEL.hexdigest}"', f'{name} = "{digits}"'
    )


def selected(folder: Path, kind: str, text: str) -> Selection:
    (folder / kind).write_text(text)
    return select(read_lock_file(folder / kind, variables={}), make_target())


def digests_of(selection: Selection) -> set[str]:
    found: set[str] = set()
    for pin in (*selection.pins, *selection.index_pins, *selection.source_pins):
        match pin:
            case Pin():
                found.add(pin.wheel.digest)
            case IndexPin():
                found.update(pin.digests)
            case SourcePin(source=SourceArchive(digest=digest)):
                found.add(digest)
            case _:
                raise AssertionError(pin)
    return found


KINDS = ["uv.lock", "pylock.toml", "poetry.lock", "pdm.lock", "Pipfile.lock", "requirements.txt"]


@pytest.mark.parametrize("algorithm", ["sha512", "sha384", "blake2b"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_lock_file_without_sha256_selects_by_the_digest_that_it_has(
    tmp_path: Path, kind: str, algorithm: str
) -> None:
    index = LoopbackIndex()
    index.root = "http://127.0.0.1:1"
    selection = selected(tmp_path, kind, relocked(lock_file_text(kind, index, [WHEEL]), algorithm))
    assert digests_of(selection) == {digest_by(algorithm)}


@pytest.mark.parametrize("kind", KINDS)
def test_a_lock_file_with_weak_digests_alone_is_refused_and_says_what_to_do(tmp_path: Path, kind: str) -> None:
    index = LoopbackIndex()
    index.root = "http://127.0.0.1:1"
    with pytest.raises(LockFileError, match="strong") as caught:
        selected(tmp_path, kind, relocked(lock_file_text(kind, index, [WHEEL]), "md5"))
    assert "md5 and sha1 prove nothing: lock again" in str(caught.value.hint)


@pytest.mark.parametrize(
    "line",
    [
        "alpha @ https://files.invalid/alpha-1.0-py3-none-any.whl --hash={sha512}",
        "https://files.invalid/alpha-1.0-py3-none-any.whl#{fragment}",
        "https://files.invalid/alpha-1.0.tar.gz#{fragment}",
    ],
)
def test_an_address_may_have_any_strong_digest(tmp_path: Path, line: str) -> None:
    sha512 = digest_by("sha512")
    text = line.format(sha512=sha512, fragment=sha512.replace(":", "="))
    selection = selected(tmp_path, "requirements.txt", text + "\n")
    assert digests_of(selection) == {sha512}
    pins: list[Pin | SourcePin] = [*selection.pins, *selection.source_pins]
    (pin,) = pins
    assert pin.direct_url is not None
    assert pin.direct_url.to_dict()["archive_info"] == {"hashes": {"sha512": sha512.partition(":")[2]}}


def test_an_address_with_two_digests_of_one_file_is_known_by_its_sha256(tmp_path: Path) -> None:
    address = "https://files.invalid/alpha-1.0-py3-none-any.whl"
    text = f"{address} --hash={digest_by('sha512')} --hash={WHEEL.digest}\n"
    assert digests_of(selected(tmp_path, "requirements.txt", text)) == {WHEEL.digest}
