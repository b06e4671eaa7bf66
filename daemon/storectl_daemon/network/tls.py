"""Trust: the certificate authorities that may sign a server's certificate.

The first that is named counts: pip's ``cert`` (``PIP_CERT``), ``REQUESTS_CA_BUNDLE``, ``CURL_CA_BUNDLE``, then
``SSL_CERT_FILE`` with ``SSL_CERT_DIR``, which may name several folders. If none is named, the operating system's own
store is used. ``UV_NATIVE_TLS`` and ``UV_SYSTEM_CERTS`` ask for that store, too. A client certificate is pip's
``client-cert`` (``PIP_CLIENT_CERT``) or uv's ``SSL_CLIENT_CERT``: one file with the certificate and its key.
"""

import os
import ssl
from collections.abc import Mapping

import httpx2

from storectl_daemon.errors import FetchError
from storectl_store.system_errors import raise_if_limited

_BUNDLE_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def tls_context(
    environ: Mapping[str, str], bundle: str | None = None, client_cert: str | None = None
) -> ssl.SSLContext:
    """The context for every connection. ``bundle`` is pip's ``cert``: a file, or a folder as OpenSSL hashes it.

    Raises FetchError if a named file or folder is missing or holds no certificate.
    """
    return _showing(_trusting(environ, bundle), client_cert)


def certificate_places(
    environ: Mapping[str, str], bundle: str | None = None, client_cert: str | None = None
) -> dict[str, str]:
    """The files and folders that ``tls_context`` reads, by the option or variable that names them."""
    named = {name: environ.get(name) for name in (*_BUNDLE_VARIABLES, "SSL_CERT_FILE", "SSL_CERT_DIR")}
    named |= {"cert": bundle, "client-cert": client_cert}
    return {name: place for name, place in named.items() if place}


def unchecked_context(client_cert: str | None = None) -> ssl.SSLContext:
    """A context that checks no certificate: for the hosts of pip's ``trusted-host`` only."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return _showing(context, client_cert)


def _showing(context: ssl.SSLContext, client_cert: str | None) -> ssl.SSLContext:
    """The context, showing this certificate to servers that ask for one. FetchError if it cannot be read."""
    if not client_cert:
        return context
    try:
        context.load_cert_chain(client_cert)
    except OSError as error:
        raise_if_limited(error, f"read {client_cert}")
        raise FetchError(
            f"{client_cert} is no certificate with its key: {error.strerror or error}",
            hint="correct or unset pip's `client-cert` or SSL_CLIENT_CERT",
            path=client_cert,
        ) from error
    return context


def _trusting(environ: Mapping[str, str], bundle: str | None) -> ssl.SSLContext:
    if bundle:
        return _context(bundle, origin="pip's `cert`")
    for variable in _BUNDLE_VARIABLES:
        if environ.get(variable):
            return _context(environ[variable], origin=variable)
    file, folder = environ.get("SSL_CERT_FILE"), environ.get("SSL_CERT_DIR")
    if file:
        return _with_folders(_context(file, origin="SSL_CERT_FILE"), folder)
    if folder:
        first, _, others = folder.partition(os.pathsep)
        return _with_folders(_context(first, origin="SSL_CERT_DIR"), others)
    return httpx2.create_ssl_context(trust_env=False)


def _with_folders(context: ssl.SSLContext, folders: str | None) -> ssl.SSLContext:
    for folder in filter(os.path.isdir, (folders or "").split(os.pathsep)):
        context.load_verify_locations(capath=folder)
    return context


def _context(place: str, *, origin: str) -> ssl.SSLContext:
    try:
        if os.path.isdir(place):
            return ssl.create_default_context(capath=place)
        return ssl.create_default_context(cafile=place)
    except OSError as error:  # ssl.SSLError is an OSError
        raise_if_limited(error, f"read {place}")
        raise FetchError(
            f"{place} (from {origin}) holds no certificates that can be read: {error.strerror or error}",
            hint=f"correct or unset {origin}",
            path=place,
        ) from error
