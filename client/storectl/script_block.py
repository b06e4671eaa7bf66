"""Scripts that carry their own dependencies (PEP 723), and the lock files beside them.

    # /// script
    # requires-python = ">=3.11"
    # dependencies = ["rich"]
    # ///

A block counts where it stands before the first line of code: that is as far as the launcher looks, which decides by it
in a few microseconds, and the two have to agree.
"""

from __future__ import annotations

import os

from storectl.errors import NoLockFileError, UsageError

BLOCK = b"# /// script"


def script_lock_file(script: str) -> str | None:
    """The absolute path of the lock file of a script with a block; None for a script that needs none.

    NoLockFileError where the block has dependencies and no lock file is there; UsageError where the block is malformed.
    """
    try:
        with open(script, "rb") as file:
            content = file.read()
    except OSError:
        return None
    if not _begins_with_block(content):
        return None
    real = os.path.realpath(script)
    stem = os.path.splitext(os.path.basename(real))[0]
    for path in (f"{real}.lock", os.path.join(os.path.dirname(real), f"pylock.{stem}.toml")):
        if os.path.isfile(path):
            return path
    if _dependencies(script, content):
        raise NoLockFileError(
            f"{script} has dependencies of its own and no lock file ({stem}.py.lock or pylock.{stem}.toml)",
            hint=f"lock them: storectl lock {script}, or uv lock --script {script}",
            start=script,
        )
    return None


def has_block(script: str) -> bool:
    """Whether the script has a block at its top."""
    try:
        with open(script, "rb") as file:
            return _begins_with_block(file.read())
    except OSError:
        return False


def _begins_with_block(content: bytes) -> bool:
    if BLOCK not in content:
        return False
    for line in content.splitlines():
        if line.rstrip() == BLOCK:
            return True
        if line and not line.startswith(b"#"):
            return False
    return False


def _dependencies(script: str, content: bytes) -> list[object]:
    """The dependencies in the block; UsageError where there are several blocks, or it is no TOML."""
    import re  # noqa: PLC0415 - only a script with a block has to wait for these
    import tomllib  # noqa: PLC0415 - as above

    text = content.decode("utf-8", "replace").replace("\r\n", "\n")
    found = re.findall(r"(?m)^# /// script$\n((?:^#(?:| .*)$\n)+?)^# ///$", text)
    if len(found) > 1:
        raise UsageError(f"{script} has {len(found)} script blocks", hint="PEP 723 allows one")
    lines = "".join(
        line[2:] if line.startswith("# ") else line[1:] for line in "".join(found).splitlines(keepends=True)
    )
    try:
        dependencies = tomllib.loads(lines).get("dependencies", [])
    except ValueError as error:
        raise UsageError(f"{script}: the script block is not valid TOML: {error}", hint="correct the block") from error
    return dependencies if isinstance(dependencies, list) else []
