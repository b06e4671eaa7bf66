"""Whether a lock file still belongs to its project: the tools keep a hash of what they read."""

import hashlib
import json


def sha256_of_json(value: object, *, separators: tuple[str, str] | None = None) -> str:
    """The sha256, in hex, of a value as JSON with sorted keys, which is how PDM, Poetry and Pipenv hash a project.

    A value that JSON cannot hold, such as an integer of more digits than Python writes, has the hash of the empty text.
    """
    try:
        text = json.dumps(value, sort_keys=True, separators=separators, default=str)
    except (ValueError, RecursionError):
        text = ""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
