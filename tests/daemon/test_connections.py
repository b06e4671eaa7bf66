"""Pools of connections: one for each transport, shared while it is the same, closed when it is no longer needed."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from storectl_daemon.errors import FetchError
from storectl_daemon.indexes.configuration import IndexSettings
from storectl_daemon.indexes.connections import Connections, Transport
from support.certificates import make_certificate, needs_openssl

SETTINGS = IndexSettings(indexes=())


def transport(environ: Mapping[str, str] | None = None) -> Transport:
    return Transport.of(SETTINGS, environ or {})


def proxied(number: int) -> Transport:
    return transport({"HTTPS_PROXY": f"http://ann:s3cret@127.0.0.1:{number}"})


def test_commands_with_the_same_way_share_a_pool_whatever_else_their_variables_are() -> None:
    async def main() -> None:
        connections = Connections()
        async with (
            connections.pool(transport({"TOKEN": "one"})) as one,
            connections.pool(transport({"TOKEN": "two"})) as two,
        ):
            assert one is two
            async with connections.pool(proxied(1)) as other:
                assert other is not one
        async with connections.pool(transport()) as again:
            assert again is one
        await connections.aclose()

    asyncio.run(main())


def test_a_pool_that_nobody_uses_is_closed_once_four_others_were_used_since() -> None:
    async def main() -> None:
        connections = Connections()
        async with connections.pool(proxied(1)) as used:
            for number in range(2, 9):
                async with connections.pool(proxied(number)):
                    pass
            async with connections.pool(proxied(1)) as again:
                assert again is used
            async with connections.pool(proxied(8)) as kept:
                pass
            async with connections.pool(proxied(8)) as again:
                assert again is kept
            async with connections.pool(proxied(2)) as anew:
                assert not anew._client.is_closed
        await connections.aclose()
        assert used._client.is_closed
        assert anew._client.is_closed

    asyncio.run(main())


@needs_openssl
def test_a_certificate_that_was_renewed_is_another_way(tmp_path: Path) -> None:
    bundle = make_certificate(tmp_path / "one")
    before = transport({"SSL_CERT_FILE": str(bundle)})
    assert transport({"SSL_CERT_FILE": str(bundle)}) == before
    bundle.write_bytes(make_certificate(tmp_path / "two").read_bytes() + b"\n")
    assert transport({"SSL_CERT_FILE": str(bundle)}) != before


def test_a_certificate_that_cannot_be_read_is_told_to_each_who_needs_it() -> None:
    async def main() -> None:
        connections = Connections()
        for _ in range(2):
            with pytest.raises(FetchError, match="SSL_CERT_FILE"):
                async with connections.pool(transport({"SSL_CERT_FILE": "/missing.pem"})):
                    raise AssertionError("there is no such file")
        await connections.aclose()

    asyncio.run(main())


def test_a_way_does_not_show_the_login_of_its_proxy() -> None:
    assert "s3cret" not in repr(proxied(1))
