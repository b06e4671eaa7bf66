"""Certificates for servers on loopback, made with the openssl program."""

import shutil
import subprocess
from pathlib import Path

import pytest

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate with openssl")


def make_certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 that signs itself, as ca.pem; its key is beside it, in key.pem."""
    folder.mkdir(exist_ok=True)
    path = folder / "ca.pem"
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(folder / "key.pem")]
    names = ["-subj", f"/CN={folder.name}", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "1"]
    subprocess.run(["openssl", "req", "-x509", *key, *names, "-out", str(path)], check=True, capture_output=True)
    return path
