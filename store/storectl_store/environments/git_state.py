"""Which commit a folder is at, and which tags its repository has: read from the files of git, without running it.

.git/HEAD            the commit, or "ref: refs/heads/main"
.git/refs/heads/main  .git/packed-refs  .git/refs/tags/…
.git                 a file "gitdir: …" in a worktree, whose refs are in the folder that its ``commondir`` names
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class GitState:
    """``text`` says commit and tags, as far as they were asked for; ``files`` are those that change with them."""

    text: str = ""
    files: tuple[Path, ...] = ()


def git_state(folder: Path, *, commit: bool, tags: bool) -> GitState:
    """The state of the repository that the folder is in; an empty one if it is in none, or nothing is asked for."""
    own = _git_folder(folder) if commit or tags else None
    if own is None:
        return GitState()
    shared = _shared(own)
    lines: list[str] = []
    files = [own / "HEAD", shared / "packed-refs"]
    if commit:
        head = _text(own / "HEAD")
        reference = head.removeprefix("ref: ")
        if reference != head:
            files.append(shared / reference)
            head = _text(shared / reference) or _packed(shared).get(reference, "")
        lines.append(f"commit {head}")
    if tags:
        names = {name: at for name, at in _packed(shared).items() if name.startswith("refs/tags/")}
        lines += [f"{name} {at}" for name, at in sorted({**names, **dict(_loose_tags(shared))}.items())]
    return GitState(text="\n".join(lines), files=tuple(files))


def _git_folder(folder: Path) -> Path | None:
    for place in (folder, *folder.parents):
        found = place / ".git"
        if found.is_dir():
            return found
        if found.is_file():
            return Path(os.path.normpath(place / _text(found).removeprefix("gitdir: ")))
    return None


def _shared(own: Path) -> Path:
    common = _text(own / "commondir")
    return Path(os.path.normpath(own / common)) if common else own


def _packed(shared: Path) -> dict[str, str]:
    rows = [line.split(" ", 1) for line in _text(shared / "packed-refs").splitlines() if line[:1] not in {"#", "^", ""}]
    return {row[1]: row[0] for row in rows if len(row) == 2}


def _loose_tags(shared: Path) -> Iterator[tuple[str, str]]:
    for place, _, names in os.walk(shared / "refs/tags"):
        for name in names:
            path = Path(place, name)
            yield path.relative_to(shared).as_posix(), _text(path)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape").strip()
    except OSError:
        return ""
