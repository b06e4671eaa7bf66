"""A requirements file with all that it includes, as one list of requirements, one of constraints, and its indexes."""

from dataclasses import dataclass, field
from pathlib import Path

from packaging.utils import NormalizedName

from storectl_store.selection.addresses import checked_url, file_url, is_url
from storectl_store.selection.limits import check_count
from storectl_store.selection.lock_file import LockFile
from storectl_store.selection.pin import FileFormat
from storectl_store.selection.requirements.entries import Entry, included_path, parse_line
from storectl_store.selection.requirements.formats import FormatControl
from storectl_store.selection.requirements.lines import Line, logical_lines


@dataclass(slots=True, kw_only=True)
class RequirementsTree:
    """Everything that the files say, in reading order. ``index_url`` is None if they name none."""

    requirements: list[Entry] = field(default_factory=list)
    constraints: list[Entry] = field(default_factory=list)
    index_url: str | None = None
    extra_indexes: list[str] = field(default_factory=list)
    find_links: list[str] = field(default_factory=list)
    no_index: bool = False
    format_control: FormatControl = field(default_factory=FormatControl)

    def formats(self, name: NormalizedName) -> frozenset[FileFormat]:
        """The kinds of file that may be used of this project."""
        return self.format_control.formats(name)

    @property
    def indexes(self) -> tuple[str, ...]:
        """The indexes to ask, in order."""
        if self.no_index:
            return ()
        return tuple(dict.fromkeys([*([self.index_url] if self.index_url else []), *self.extra_indexes]))

    @property
    def exclusive(self) -> bool:
        """Whether the user's own indexes are left out."""
        return self.no_index or self.index_url is not None


def read_tree(lock_file: LockFile) -> RequirementsTree:
    """The file and all that it includes. Raises LockFileError if one is missing, includes itself or is malformed."""
    tree = RequirementsTree()
    for option in ("--no-binary", "--only-binary"):
        if value := lock_file.variables.get(f"PIP_{option[2:].upper().replace('-', '_')}"):
            tree.format_control.apply(option, value)  # pip reads its variables before the file
    _read_file(lock_file, str(lock_file.path), lock_file.content, tree, (), is_constraint=False)
    check_count([entry.line for entry in (*tree.requirements, *tree.constraints)])
    return tree


def _read_file(
    lock_file: LockFile,
    file: str,
    content: bytes,
    tree: RequirementsTree,
    including: tuple[str, ...],
    *,
    is_constraint: bool,
) -> None:
    for line in logical_lines(file, content, lock_file.variables):
        entry = parse_line(line)
        if entry.requirement:
            (tree.constraints if is_constraint else tree.requirements).append(entry)
            continue
        _apply_options(entry, tree)
        for option, as_constraint in (("--requirement", is_constraint), ("--constraint", True)):
            for text in entry.values(option):
                path, included = _included(lock_file, line, text, (*including, file))
                _read_file(lock_file, path, included, tree, (*including, file), is_constraint=as_constraint)


def _included(lock_file: LockFile, line: Line, text: str, including: tuple[str, ...]) -> tuple[str, bytes]:
    if is_url(text):
        raise line.error(
            "includes a URL", hint="storectl reads included files from disk only: store it beside this one"
        )
    path = included_path(line.file, text)
    if path in including:
        raise line.error(f"includes itself by way of {text[:200]}")
    if path not in lock_file.included:
        raise line.error(f"includes {text[:200]}, which is not there")
    return path, lock_file.included[path]


def _apply_options(entry: Entry, tree: RequirementsTree) -> None:
    for option, value in entry.options:
        match option:
            case "--index-url":
                tree.index_url = _checked(entry.line, value)
            case "--extra-index-url":
                tree.extra_indexes.append(_checked(entry.line, value))
            case "--find-links":
                tree.find_links.append(_checked(entry.line, value))
            case "--no-index":
                tree.no_index = True
            case "--hash":
                raise entry.line.error("`--hash` without a requirement")
            case "--only-binary" | "--no-binary":
                tree.format_control.apply(option, value)
            case _:
                # Such options choose between versions, or say how to reach the index. Here every version is chosen.
                continue


def _checked(line: Line, value: str) -> str:
    """The absolute URL. A path is relative to the file that names it.

    Raises LockFileError if storectl cannot fetch it.
    """
    try:
        return checked_url(value) if is_url(value) else file_url(Path(line.file).parent, value)
    except ValueError as error:
        raise line.error(str(error)) from error
