"""Where a pin comes from, as ``direct_url.json`` says it (PEP 610): archives and commits; never an index or a login."""

import json
import re
from collections.abc import Iterable
from urllib.parse import quote, urlsplit, urlunsplit

from packaging.direct_url import ArchiveInfo, DirectUrl, DirInfo, VcsInfo
from packaging.utils import NormalizedName

from storectl_store.digest import Digest, algorithm_of, hex_of
from storectl_store.selection.pin import GitCommit, Pin, SourcePin

_PLAIN = "/!$&'()*+,;=:@[]^|~"
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


def is_commit(text: str) -> bool:
    """Whether this is the full name of a commit: 40 hex digits of SHA-1 or 64 of SHA-256."""
    return _COMMIT.fullmatch(text) is not None


def archive_origin(url: str, digest: Digest, subdirectory: str | None = None) -> DirectUrl:
    """The origin of a wheel or source archive by its address."""
    info = ArchiveInfo(hashes={algorithm_of(digest): hex_of(digest)})
    return DirectUrl(url=without_login(url), archive_info=info, subdirectory=subdirectory)


def commit_origin(commit: GitCommit, subdirectory: str | None = None) -> DirectUrl:
    """The origin of what was built from a commit."""
    info = VcsInfo(vcs="git", commit_id=commit.commit, requested_revision=commit.requested_revision)
    return DirectUrl(url=without_login(commit.url), vcs_info=info, subdirectory=subdirectory)


def commit_pin(name: NormalizedName, version: str | None, commit: GitCommit, subdirectory: str | None) -> SourcePin:
    """The pin of what is built from a commit, with its origin."""
    origin = commit_origin(commit, subdirectory)
    return SourcePin(name=name, version=version, source=commit, subdirectory=subdirectory, direct_url=origin)


def folder_origin(path: str, *, editable: bool) -> DirectUrl:
    """The origin of a local project in this absolute folder.

    Its address is quoted as little as possible, as uv does it.
    """
    return DirectUrl(url=f"file://{quote(path, safe=_PLAIN)}", dir_info=DirInfo(editable=editable or None))


def direct_urls(pins: Iterable[Pin]) -> dict[NormalizedName, str]:
    """The contents of ``direct_url.json``, by project, for everything that comes from no index."""
    return {
        pin.name: json.dumps(pin.direct_url.to_dict(), sort_keys=True) for pin in pins if pin.direct_url is not None
    }


def without_login(url: str) -> str:
    """The address without user and password. ``git@`` of an ssh address is no secret and stays."""
    parts = urlsplit(url)
    login, at, host = parts.netloc.rpartition("@")
    if not at or (parts.scheme == "ssh" and ":" not in login):
        return url
    return urlunsplit(parts._replace(netloc=host))
