"""The id of an environment: equal closures share one across checkouts, worktrees and branches.

It is a digest of all that decides what the view looks like: the entries, the interpreter, the folders of local code,
the format of views, and the shim's own bytes, so that a new version of storectl never runs an old shim.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files

from storectl_store.digest import Digest
from storectl_store.environments.local_code import LocalCode
from storectl_store.selection.target import Interpreter

VIEW_FORMAT = 1
_ID_LENGTH = 32


def environment_id(digests: Iterable[Digest], interpreter: Interpreter, local: Sequence[LocalCode]) -> str:
    """32 hex digits. The order of digests does not matter; that of local code does, as it is one on ``sys.path``."""
    parts = {
        "format": VIEW_FORMAT,
        "shim": hashlib.sha256(shim_source()).hexdigest(),
        "interpreter": interpreter.identity,
        "digests": sorted(digests),
        "local": [[code.name, *code.roots] for code in local if code.roots],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:_ID_LENGTH]


@cache
def shim_source() -> bytes:
    """The module that each view gets a copy of."""
    return files("storectl_shim").joinpath("_storectl.py").read_bytes()
