"""Trust: which certificate authorities a connection may be signed by.

The first that is named wins: pip's ``cert`` (``PIP_CERT``), ``REQUESTS_CA_BUNDLE``, ``CURL_CA_BUNDLE``, then
``SSL_CERT_FILE`` with ``SSL_CERT_DIR``. Where none is named the operating system's own store is used, which is also
what ``UV_NATIVE_TLS`` and ``UV_SYSTEM_CERTS`` ask for.
"""

import os
import ssl
from collections.abc import Mapping

import httpx2

from storectl_daemon.errors import FetchError

_BUNDLE_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def tls_context(environ: Mapping[str, str], bundle: str | None = None) -> ssl.SSLContext:
    """The context for every connection; ``bundle`` is pip's ``cert``: a file, or a folder as OpenSSL hashes it.

    FetchError where a named file or folder is missing or holds no certificate.
    """
    if bundle:
        return _context(bundle, origin="pip's `cert`")
    for variable in _BUNDLE_VARIABLES:
        if environ.get(variable):
            return _context(environ[variable], origin=variable)
    file, folder = environ.get("SSL_CERT_FILE"), environ.get("SSL_CERT_DIR")
    if file:
        return _context(file, folder, origin="SSL_CERT_FILE")
    if folder:
        return _context(folder.split(os.pathsep)[0], origin="SSL_CERT_DIR")
    return httpx2.create_ssl_context(trust_env=False)


def unchecked_context() -> ssl.SSLContext:
    """A context that checks no certificate: for the hosts of pip's ``trusted-host`` only."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _context(place: str, folder: str | None = None, *, origin: str) -> ssl.SSLContext:
    try:
        if os.path.isdir(place):
            return ssl.create_default_context(capath=place)
        return ssl.create_default_context(cafile=place, capath=folder or None)
    except OSError as error:  # ssl.SSLError is one, too
        raise FetchError(
            f"{place} (from {origin}) holds no certificates that can be read: {error.strerror or error}",
            hint=f"correct or unset {origin}",
            path=place,
        ) from error
