"""A seal tells damage that still parses."""

import json

import pytest

from storectl_store.entries.manifest import decode_manifest, encode_manifest
from storectl_store.entries.sealed import BrokenSealError, opened, sealed
from storectl_store.errors import StoreFormatError
from support.environments import read_wheel
from support.wheels import make_wheel

CONTENT = b'{"a":1}\n'


def test_what_was_sealed_is_read_again() -> None:
    assert opened(sealed(CONTENT)) == (CONTENT, True)
    assert opened(CONTENT) == (CONTENT, False)
    assert opened(b"") == (b"", False)


def test_no_flipped_bit_passes_for_the_content() -> None:
    for bit in range(len(sealed(CONTENT)) * 8):
        damaged = bytearray(sealed(CONTENT))
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ValueError, match=r"sealed|Extra data|delimiter|control character|codec"):
            json.loads(opened(bytes(damaged))[0])


def test_content_that_was_cut_off_is_not_taken_for_one_without_a_seal() -> None:
    manifest, _ = read_wheel(make_wheel("sample"))
    whole = encode_manifest(manifest)
    assert decode_manifest(whole) == manifest
    with pytest.raises(StoreFormatError, match="format 2"):
        decode_manifest(opened(whole)[0])


def test_a_manifest_from_before_there_were_seals_is_read() -> None:
    manifest, _ = read_wheel(make_wheel("sample"))
    value = json.loads(opened(encode_manifest(manifest))[0])
    assert decode_manifest(json.dumps(value | {"format": 1}).encode()) == manifest


def test_a_broken_seal_is_an_error_of_its_own() -> None:
    with pytest.raises(BrokenSealError):
        opened(sealed(CONTENT).replace(b"1", b"3", 1))
