"""The id of an environment: equal closures share one across checkouts, worktrees and branches.

It is a digest of all that decides what the view looks like: the entries, the interpreter, the contents of
``direct_url.json``, the format of views, and the shim's own bytes. An editable wheel is an entry, so the folder of a
project's own code counts too. Because of the shim's bytes a new version of storectl never runs an old shim.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from packaging.utils import NormalizedName

from storectl_store.digest import Digest, EnvironmentId, digest_of_hex
from storectl_store.selection.target import Interpreter

VIEW_FORMAT = 7
_ID_LENGTH = 32
_SHIM = ("site-packages/_storectl.py", "_storectl_map.py", "_storectl_pack.py", "_storectl_amend.py")
NOTHING: Mapping[NormalizedName, str] = MappingProxyType({})


def environment_id(
    digests: Iterable[Digest], interpreter: Interpreter, direct_urls: Mapping[NormalizedName, str] = NOTHING
) -> EnvironmentId:
    """32 hex digits for this closure, in any order.

    ``direct_urls`` are the contents of ``direct_url.json`` by project.
    """
    return identity_of(digests, interpreter.identity, direct_urls, shim=shim_digest(), view_format=VIEW_FORMAT)


def identity_of(
    digests: Iterable[Digest],
    interpreter: str,
    direct_urls: Mapping[NormalizedName, str],
    *,
    shim: Digest,
    view_format: int,
) -> EnvironmentId:
    """The id of an environment made by this shim and this format of views, for the interpreter with this identity."""
    parts = {
        "format": view_format,
        "shim": shim,
        "interpreter": interpreter,
        "digests": sorted(digests),
        "direct_urls": dict(direct_urls),
    }
    return EnvironmentId(hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:_ID_LENGTH])


@cache
def shim_sources() -> Mapping[str, bytes]:
    """The modules that each environment gets a copy of, by their path below ``lib/pythonX.Y``."""
    package = files("storectl_shim")
    return MappingProxyType({path: package.joinpath(path.rpartition("/")[2]).read_bytes() for path in _SHIM})


@cache
def shim_digest() -> Digest:
    """One digest over all modules of the shim that an environment gets, and their paths."""
    return digest_of_shim(shim_sources())


def digest_of_shim(sources: Mapping[str, bytes]) -> Digest:
    """One digest over these modules of a shim and their paths."""
    parts = {path: hashlib.sha256(source).hexdigest() for path, source in sources.items()}
    return digest_of_hex(hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest())
