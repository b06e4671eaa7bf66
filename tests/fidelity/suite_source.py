"""Where a suite's tests come from: the project's source distribution, or its repository where that has none of them."""

import hashlib
import io
import shutil
import subprocess
import tarfile
import tempfile
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fidelity.suites import Suite


class SuiteError(Exception):
    """A suite that could not be run: what its pytest said last, or where its tests are not."""


def source_of(suite: Suite, package: Mapping[str, Any], repositories: Mapping[str, str]) -> bytes | None:
    """An archive of the tests of ``package``, a table of the lock file; None where the wheel has them.

    ``repositories`` are copies by the suite's name, for where the repository itself cannot be reached.
    """
    if suite.installed:
        return None
    if suite.repository:
        return _cloned(repositories.get(suite.name, suite.repository), f"v{package['version']}")
    return _downloaded(package["sdist"])


def _downloaded(sdist: Mapping[str, str]) -> bytes:
    """The source distribution, checked."""
    with urllib.request.urlopen(sdist["url"], timeout=120) as answer:  # the lock file's own address
        data: bytes = answer.read()
    if f"sha256:{hashlib.sha256(data).hexdigest()}" != sdist["hash"]:
        raise SuiteError(f"{sdist['url']} is not what the lock file says")
    return data


def _cloned(repository: str, tag: str) -> bytes:
    """The files of a tag of a repository, which is an address or a folder."""
    with tempfile.TemporaryDirectory(prefix="stg-") as folder:
        clone = ["git", "-c", "advice.detachedHead=false", "clone", "--quiet", "--bare", "--depth=1", "--branch", tag]
        address = Path(repository).resolve().as_uri() if Path(repository).is_dir() else repository
        done = subprocess.run([*clone, address, folder], capture_output=True, text=True, check=False)
        if done.returncode:
            raise SuiteError(f"{repository} has no tag {tag}: {done.stderr.strip()}")
        archive = ["git", "-C", folder, "archive", "--prefix=source/", tag]
        return subprocess.run(archive, capture_output=True, check=True).stdout


def unpack(source: bytes | None, suite: Suite, folder: Path) -> Path:
    """The folder that the tests are run in, below ``folder``: the source without what would hide the installed project."""
    if source is None:
        (folder / "work").mkdir()
        return folder / "work"
    with tarfile.open(fileobj=io.BytesIO(source)) as archive:
        archive.extractall(folder, filter="data")
    (work,) = folder.iterdir()
    for pattern in suite.remove:
        for path in list(work.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name, text in suite.files.items():
        (work / name).write_text(text)
    return work
