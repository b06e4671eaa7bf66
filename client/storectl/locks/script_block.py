"""Scripts that carry their own dependencies (PEP 723), and their lock files.

    # /// script
    # requires-python = ">=3.11"
    # dependencies = ["rich"]
    # ///

The block may stand anywhere in the file, as for uv. The lock file is the one beside the script; otherwise the script
is locked once, and that is remembered. `uv run` writes none beside a script either.

The launcher looks for a lock file beside the script, and for a block only before the first line of code that is no
docstring. So it misses a block further down, if the script has no lock file.
"""

from __future__ import annotations

import os

from storectl.daemon.chosen_python import chosen_python, first_on_path, pinned_at
from storectl.errors import UsageError
from storectl.locks.remembered import Locking, lock_once, remembered_folder

TYPE_CHECKING = False  # typing and collections.abc take longer to import than all of `run`
if TYPE_CHECKING:
    from collections.abc import Mapping

    from storectl.locks.requirements import Wanted

BLOCK = "# /// script"
_END = "# ///"


def script_lock_file(script: str, python: str | None, environ: Mapping[str, str], how: Locking) -> str | None:
    """The absolute path of the lock file of a script with a block, made now if there is none; None without a block.

    ``python`` is a version or a path. None means a ``.python-version`` beside the script or above, unless the block
    requires another Python, else what the block requires. UsageError if the block is malformed.
    """
    blocks = _blocks(script)
    if not blocks:
        return None
    beside = next(filter(os.path.isfile, lock_files_beside(os.path.realpath(script))), None)
    return beside or _remembered(script, blocks, python, environ, how)


def has_block(script: str) -> bool:
    """Whether the script has a block, with its first and its last line."""
    return bool(_blocks(script))


def lock_files_beside(script: str) -> tuple[str, str]:
    """The paths of the two lock files that may stand beside a script, which is no link; the first one counts."""
    folder, name = os.path.split(script)
    return f"{script}.lock", os.path.join(folder, f"pylock.{os.path.splitext(name)[0]}.toml")


def _remembered(script: str, blocks: list[str], python: str | None, environ: Mapping[str, str], how: Locking) -> str:
    real = os.path.realpath(script)
    pinned = None if python else pinned_at(os.path.dirname(real), environ)
    folder = remembered_folder("scripts", [real, *blocks, python or pinned or first_on_path(environ)], environ)

    def wanted() -> Wanted:
        from storectl.locks.requirements import Wanted  # noqa: PLC0415 - for the first run only

        block = _parsed(script, blocks)
        requires, dependencies = block.get("requires-python"), block.get("dependencies", [])
        if not isinstance(dependencies, list) or not isinstance(requires, str | None):
            raise UsageError(f"{script}: the script block has values of the wrong kind", hint="see PEP 723")
        chosen = chosen_python(python, environ, pinned=pinned or requires)
        if pinned and requires and not _allows(requires, chosen.version):
            chosen = chosen_python(None, environ, pinned=requires)
        return Wanted(
            requirements=tuple(map(str, dependencies)),
            script=real,
            python=chosen,
            folder=os.path.dirname(real),
            notes=chosen.pin,
            announced=bool(dependencies),
            only_uv="tool" in block,
        )

    return lock_once(folder, wanted, environ, how, what=script)


def _allows(requires_python: str, version: str) -> bool:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet  # noqa: PLC0415 - for the first run only

    try:
        return SpecifierSet(requires_python).contains(version, prereleases=True)
    except InvalidSpecifier:
        return False  # choosing by it says so


def _blocks(script: str) -> list[str]:
    """The contents of a script's blocks, whatever its line ends are; none if the file cannot be read."""
    try:
        with open(script, "rb") as file:
            content = file.read()
    except OSError:
        return []
    if BLOCK.encode() not in content:
        return []  # nearly every script ends here
    text = content.decode("utf-8-sig", "replace").replace("\r\n", "\n").replace("\r", "\n")
    return blocks_in(text.split("\n"))


def blocks_in(lines: list[str]) -> list[str]:
    """The contents of the blocks in these lines: ``# /// script``, one or more comments, and the first ``# ///``.

    So it is in PEP 723, as a regular expression; to import ``re`` takes longer than the rest of a run. Not every line
    with a # is a comment there: a space follows, or nothing.
    """
    blocks = []
    begin = 0
    while BLOCK in lines[begin:]:
        begin = lines.index(BLOCK, begin) + 1
        end = begin
        while end < len(lines) and (lines[end] == "#" or lines[end].startswith("# ")):
            if lines[end] == _END and end > begin:
                blocks.append("".join(f"{line}\n" for line in lines[begin:end]))
                begin = end + 1
                break
            end += 1
    return blocks


def _parsed(script: str, blocks: list[str]) -> dict[str, object]:
    """The block; UsageError if there are several, or it is not TOML."""
    import tomllib  # noqa: PLC0415 - only a script with a block has to wait for it

    if len(blocks) > 1:
        raise UsageError(f"{script} has {len(blocks)} script blocks", hint="PEP 723 allows one")
    lines = "".join(
        line[2:] if line.startswith("# ") else line[1:] for line in "".join(blocks).splitlines(keepends=True)
    )
    try:
        return tomllib.loads(lines)
    except ValueError as error:
        raise UsageError(f"{script}: the script block is not valid TOML: {error}", hint="correct the block") from error
