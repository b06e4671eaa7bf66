"""Scripts that carry their own dependencies (PEP 723), and the lock files beside them.

    # /// script
    # requires-python = ">=3.11"
    # dependencies = ["rich"]
    # ///

The block may stand anywhere in the file, as for uv. The launcher looks for a lock file beside the script, and for a
block only before the first line of code that is no docstring. So it misses a block further down, if the script has no
lock file.
"""

from __future__ import annotations

import os

from storectl.errors import NoLockFileError, UsageError

BLOCK = b"# /// script"


def script_lock_file(script: str) -> str | None:
    """The absolute path of the lock file of a script with a block; None for a script that needs none.

    NoLockFileError if the block has dependencies and there is no lock file; UsageError if the block is malformed.
    """
    blocks = _blocks(script)
    if not blocks:
        return None
    real = os.path.realpath(script)
    name = os.path.basename(real)
    stem = os.path.splitext(name)[0]
    for path in (f"{real}.lock", os.path.join(os.path.dirname(real), f"pylock.{stem}.toml")):
        if os.path.isfile(path):
            return path
    if _dependencies(script, blocks):
        raise NoLockFileError(
            f"{script} has dependencies of its own and no lock file ({name}.lock or pylock.{stem}.toml)",
            hint=f"lock them: storectl lock {script}, or uv lock --script {script}",
            start=script,
        )
    return None


def has_block(script: str) -> bool:
    """Whether the script has a block, with its first and its last line."""
    return bool(_blocks(script))


def _blocks(script: str) -> list[str]:
    """The contents of a script's blocks, whatever its line ends are; none if the file cannot be read."""
    try:
        with open(script, "rb") as file:
            content = file.read()
    except OSError:
        return []
    if BLOCK not in content:
        return []  # nearly every script ends here, before anything more is loaded
    import re  # noqa: PLC0415 - only a script with a block has to wait for it

    text = content.decode("utf-8-sig", "replace").replace("\r\n", "\n").replace("\r", "\n")
    return re.findall(r"(?m)^# /// script$\n((?:^#(?:| .*)$\n)+?)^# ///$", text)


def _dependencies(script: str, blocks: list[str]) -> list[object]:
    """The dependencies in the block; UsageError if there are several blocks, or the block is not TOML."""
    import tomllib  # noqa: PLC0415 - only a script with a block has to wait for it

    if len(blocks) > 1:
        raise UsageError(f"{script} has {len(blocks)} script blocks", hint="PEP 723 allows one")
    lines = "".join(
        line[2:] if line.startswith("# ") else line[1:] for line in "".join(blocks).splitlines(keepends=True)
    )
    try:
        dependencies = tomllib.loads(lines).get("dependencies", [])
    except ValueError as error:
        raise UsageError(f"{script}: the script block is not valid TOML: {error}", hint="correct the block") from error
    return dependencies if isinstance(dependencies, list) else []
