"""Scripts that carry their own dependencies (PEP 723), and the lock files beside them.

    # /// script
    # requires-python = ">=3.11"
    # dependencies = ["rich"]
    # ///

The block may stand anywhere, as for uv. The launcher looks for a lock file beside the script, and for a block in its head:
what stands before the first line of code, a docstring included. So it misses a block below code that nobody has locked.
"""

from __future__ import annotations

import os

from storectl.errors import NoLockFileError, UsageError

BLOCK = b"# /// script"


def script_lock_file(script: str) -> str | None:
    """The absolute path of the lock file of a script with a block; None for a script that needs none.

    NoLockFileError where the block has dependencies and no lock file is there; UsageError where the block is malformed.
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
    """Whether the script has a block that begins and ends."""
    return bool(_blocks(script))


def _blocks(script: str) -> list[str]:
    """The contents of the blocks of a script, whatever its line ends are; none of what cannot be read."""
    try:
        with open(script, "rb") as file:
            content = file.read()
    except OSError:
        return []
    if BLOCK not in content:
        return []  # as in nearly every script: nothing more is loaded for it
    import re  # noqa: PLC0415 - only a script with a block has to wait for it

    text = content.decode("utf-8-sig", "replace").replace("\r\n", "\n").replace("\r", "\n")
    return re.findall(r"(?m)^# /// script$\n((?:^#(?:| .*)$\n)+?)^# ///$", text)


def _dependencies(script: str, blocks: list[str]) -> list[object]:
    """The dependencies in the block; UsageError where there are several blocks, or it is no TOML."""
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
