"""Certificate authorities: the first that is named wins, and what they did not sign is refused."""

import asyncio
import select
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from storectl_daemon.errors import FetchError
from storectl_daemon.network.address import Address
from storectl_daemon.network.exchange import FetchLimits
from storectl_daemon.network.fetch import Fetcher, Page
from storectl_daemon.network.proxies import Proxies, proxies_of
from storectl_daemon.network.tls import tls_context, unchecked_context
from support.certificates import make_certificate, needs_openssl

IMPATIENT = FetchLimits(pause=0.001, page_deadline=20)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 that signs itself, with its key beside it."""
    return make_certificate(tmp_path)


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that refused the certificate is no event of ours."""


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(302 if self.path == "/down" else 200)
        self.send_header("Location", "http://127.0.0.1:1/")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def serve_https(certificate: Path, *, clients: Path | None = None) -> Iterator[str]:
    """With ``clients``, only those that show a certificate signed by it are served."""
    server = _Quiet(("127.0.0.1", 0), _Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def read(
    url: str,
    context: ssl.SSLContext | None,
    *,
    trusted: frozenset[str] = frozenset(),
    client_cert: str | None = None,
    proxy: str | None = None,
) -> Page:
    async def main() -> Page:
        async with Fetcher(
            limits=IMPATIENT,
            tls=context,
            contexts={host: unchecked_context(client_cert) for host in trusted},
            proxies=Proxies(proxy=Address(proxy) if proxy else None),
        ) as fetcher:
            return await fetcher.read(Address(url), {})

    return asyncio.run(main())


@needs_openssl
@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_named_bundle_is_the_whole_trust(bundle: Path, variable: str) -> None:
    context = tls_context({variable: str(bundle)})
    assert len(context.get_ca_certs()) == 1
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


@needs_openssl
def test_the_bundle_of_pip_goes_before_the_variables(bundle: Path) -> None:
    assert len(tls_context({"REQUESTS_CA_BUNDLE": "/missing"}, str(bundle)).get_ca_certs()) == 1


@needs_openssl
def test_a_server_that_the_bundle_signs_is_read(bundle: Path) -> None:
    with serve_https(bundle) as url:
        assert read(url, tls_context({"SSL_CERT_FILE": str(bundle)})).content == b"ok"


@needs_openssl
def test_a_server_that_nobody_signs_is_refused_with_what_to_do(bundle: Path) -> None:
    with serve_https(bundle) as url, pytest.raises(FetchError, match="not trusted") as caught:
        read(url, tls_context({}))
    assert "SSL_CERT_FILE" in (caught.value.hint or "")


@needs_openssl
def test_a_trusted_host_is_read_whoever_signs_it_and_no_other(bundle: Path) -> None:
    with serve_https(bundle) as url:
        assert read(url, tls_context({}), trusted=frozenset({"127.0.0.1"})).content == b"ok"
        with pytest.raises(FetchError, match="not trusted"):
            read(url, tls_context({}), trusted=frozenset({"other.example"}))


@needs_openssl
def test_a_redirect_from_https_to_http_is_not_followed(bundle: Path) -> None:
    with serve_https(bundle) as url, pytest.raises(FetchError, match="from https to http"):
        read(f"{url}/down", tls_context({"SSL_CERT_FILE": str(bundle)}))


def test_a_missing_or_empty_bundle_names_its_variable(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    for path in (tmp_path / "missing.pem", tmp_path / "empty.pem"):
        with pytest.raises(FetchError, match="REQUESTS_CA_BUNDLE") as caught:
            tls_context({"REQUESTS_CA_BUNDLE": str(path)})
        assert caught.value.hint


@needs_openssl
def test_a_client_certificate_is_shown_to_whoever_asks_for_it(bundle: Path, tmp_path: Path) -> None:
    shown = tmp_path / "client.pem"
    shown.write_text(bundle.read_text() + (tmp_path / "key.pem").read_text())
    with serve_https(bundle, clients=bundle) as url:
        with pytest.raises(FetchError, match=r"wants a client certificate|broke off|no connection"):
            read(url, tls_context({}, str(bundle)))
        assert read(url, tls_context({}, str(bundle), str(shown))).content == b"ok"
        trusted = frozenset({"127.0.0.1"})
        assert read(url, tls_context({}), trusted=trusted, client_cert=str(shown)).content == b"ok"


@needs_openssl
def test_a_client_certificate_without_its_key_is_said_to_be_one(bundle: Path) -> None:
    for path in (str(bundle), "/missing.pem"):
        with pytest.raises(FetchError, match="no certificate with its key") as caught:
            tls_context({}, None, path)
        assert "SSL_CLIENT_CERT" in (caught.value.hint or "")


@needs_openssl
@pytest.mark.parametrize("beside", [False, True])
def test_every_folder_of_certificates_counts(bundle: Path, tmp_path: Path, *, beside: bool) -> None:
    """OpenSSL finds a certificate in a folder by the hash of its subject."""
    empty, hashed = tmp_path / "empty", tmp_path / "hashed"
    empty.mkdir()
    hashed.mkdir()
    done = subprocess.run(["openssl", "x509", "-hash", "-noout", "-in", bundle], check=True, capture_output=True)
    (hashed / f"{done.stdout.decode().strip()}.0").write_text(bundle.read_text())
    other = {"SSL_CERT_FILE": str(make_certificate(tmp_path / "other"))} if beside else {}
    with serve_https(bundle) as url:
        assert read(url, tls_context({"SSL_CERT_DIR": f"{empty}:{hashed}"} | other)).content == b"ok"


class _Tunnel(BaseHTTPRequestHandler):
    """A proxy that connects to whatever it is asked for, and writes that down."""

    asked: ClassVar[list[str]] = []

    def do_CONNECT(self) -> None:
        self.asked.append(self.path)
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port))) as target:
            self.send_response(200)
            self.end_headers()
            ends = [self.connection, target]
            while ready := select.select(ends, [], [], 20)[0]:
                for end in ready:
                    data = end.recv(1 << 16)
                    if not data:
                        return
                    ends[ends[0] is end].sendall(data)

    def log_message(self, *arguments: object) -> None:
        pass


@needs_openssl
@pytest.mark.parametrize("trusted", [frozenset[str](), frozenset({"127.0.0.1"})])
def test_the_proxy_of_pip_is_used_for_everything(bundle: Path, trusted: frozenset[str]) -> None:
    proxy = _Quiet(("127.0.0.1", 0), type("Tunnel", (_Tunnel,), {"asked": []}))
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        with serve_https(bundle) as url:
            context = tls_context({} if trusted else {"SSL_CERT_FILE": str(bundle)})
            address = f"http://127.0.0.1:{proxy.server_address[1]}"
            assert read(url, context, trusted=trusted, proxy=address).content == b"ok"
            assert proxy.RequestHandlerClass.asked == [url.partition("//")[2]]  # type: ignore[attr-defined]
    finally:
        proxy.shutdown()
        proxy.server_close()
        thread.join()


def test_trusted_hosts_go_by_the_variables_too() -> None:
    found = proxies_of({"HTTPS_PROXY": "p.example:3128", "NO_PROXY": "near.example,10.0.0.0/8, [::1]"})
    assert found.to("h.example:8443") == Address("http://p.example:3128")
    for host in ("near.example", "very.near.example:8443", "10.1.2.3", "10.1.2.3:8443", "[::1]:8443"):
        assert found.to(host) is None
    for host in ("faraway-near.example", "11.1.2.3", "[::2]:8443"):
        assert found.to(host) is not None
    assert Proxies().to("h.example") is None
    assert Proxies(proxy=Address("http://q.example")).to("near.example") == Address("http://q.example")
