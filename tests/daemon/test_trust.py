"""Certificate authorities: the first that is named wins, and what they did not sign is refused."""

import asyncio
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from storectl_daemon.errors import FetchError
from storectl_daemon.fetch import Fetcher, Page
from storectl_daemon.limits import FetchLimits
from storectl_daemon.trust import tls_context

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate with openssl")
IMPATIENT = FetchLimits(pause=0.001, page_deadline=20)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 that signs itself, with its key beside it."""
    path = tmp_path / "ca.pem"
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(tmp_path / "key.pem")]
    names = ["-subj", "/CN=loopback", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "1"]
    subprocess.run(["openssl", "req", "-x509", *key, *names, "-out", str(path)], check=True, capture_output=True)
    return path


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
def serve_https(certificate: Path) -> Iterator[str]:
    server = _Quiet(("127.0.0.1", 0), _Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def read(url: str, context: ssl.SSLContext | None, *, trusted: frozenset[str] = frozenset()) -> Page:
    async def main() -> Page:
        async with Fetcher(limits=IMPATIENT, tls=context, trusted_hosts=trusted, trust_env=False) as fetcher:
            return await fetcher.read(url, {})

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
