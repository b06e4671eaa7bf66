"""What may follow --with and --from: a project and its version, a folder or file, or an address.

    black    black[d]>=25,<26    ./folder    ~/wheels/x-1.0-py3-none-any.whl    git+https://host/repository    x @ https://host/x.whl
    -r FILE    (of --with-requirements)

Every run calls ``absolute_requirements``, which imports nothing. ``check_requirements``, with its messages for
people, is called before the first locking only.
"""

from __future__ import annotations

import os

from storectl.errors import UsageError
from storectl_shim.requirements_files import key_of_contents

TYPE_CHECKING = False  # typing and collections.abc take longer to import than all of `run`
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from re import Match

_ARCHIVES = (".whl", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")
_FILE = "-r "
_PROJECT_FILES = ("pyproject.toml", "setup.py", "setup.cfg")
_ADDRESS = r"[A-Za-z][A-Za-z0-9+.-]*://|git\+"
_LOGIN = r"https?://[^/\s@]*(?:@[^/\s@]*)*@(?P<host>[^/\s?#]+)"
_NAMED_PATH = r"\s*(?P<name>[\w.-]+(?:\[[^\]]*\])?)\s*@\s*(?P<path>(?:~|\.{0,2})/\S*)\s*"


def absolute_requirements(texts: Iterable[str]) -> tuple[str, ...]:
    """The requirements, one by one, their paths made absolute. A text with commas may hold several, as for uv."""
    return tuple(_absolute(text) for listed in texts for text in _split(listed))


def check_requirements(texts: Iterable[str]) -> None:
    """UsageError for a requirement that no tool could lock, in one line."""
    for text in texts:
        _check_login(text)
        if is_file(text):
            _check_file(text[len(_FILE) :])
        elif is_path(text):
            _check_path(text)
        elif not is_address(text):
            _check_named(text)


def is_file(text: str) -> bool:
    """Whether the text names a file with requirements: ``-r FILE``."""
    return text.startswith(_FILE)


def is_path(text: str) -> bool:
    """Whether the text names a folder or file by its path."""
    if is_file(text):
        return False
    return text.startswith(("/", "./", "../", "~")) or text in (".", "..") or _is_plain_path(text)


def is_address(text: str) -> bool:
    """Whether the text is an address without a name before it."""
    if "://" not in text and "git+" not in text:
        return False  # nearly every requirement ends here, before `re` is loaded
    import re  # noqa: PLC0415 - see above

    return re.match(_ADDRESS, text) is not None


def fingerprints(requirements: Iterable[str]) -> Iterator[str]:
    """A text for each folder or file that is named by path. After a change it differs, and the lock file is stale."""
    requirements = tuple(requirements)
    for text in filter(is_file, requirements):
        yield key_of_contents(text[len(_FILE) :])
    for path in filter(is_path, requirements):
        names = [os.path.join(path, name) for name in _PROJECT_FILES] if os.path.isdir(path) else [path]
        for name in names:
            yield from _fingerprint(name)


def _fingerprint(path: str) -> Iterator[str]:
    try:
        status = os.stat(path)
    except OSError:
        return
    yield f"{path} {status.st_size} {status.st_mtime_ns}"


def project_name(text: str) -> str:
    """The normalised name of the project that a requirement begins with; the text itself if there is none."""
    import re  # noqa: PLC0415 - a run has no use for it

    found = None if is_path(text) or is_address(text) else re.match(r"\s*(\w[\w.-]*)", text)
    return re.sub(r"[-_.]+", "-", found[1]).lower() if found else text


def _is_plain_path(text: str) -> bool:
    """Whether this is a path, by a slash or an end that no project's name has: ``folder/project``, ``x-1.0.zip``."""
    return not is_address(text) and "@" not in text and ("/" in text or text.endswith(_ARCHIVES))


def _absolute(text: str) -> str:
    if is_file(text):
        return f"{_FILE}{os.path.abspath(os.path.expanduser(text[len(_FILE) :]))}"
    if is_path(text):
        return os.path.abspath(os.path.expanduser(text))
    if match := _named_path(text):
        from urllib.parse import quote  # noqa: PLC0415 - few requirements are written so

        return f"{match['name']} @ file://{quote(os.path.abspath(os.path.expanduser(match['path'])))}"
    return text


def _named_path(text: str) -> Match[str] | None:
    if "@" not in text or "/" not in text:
        return None
    import re  # noqa: PLC0415 - few requirements are written so

    return re.fullmatch(_NAMED_PATH, text)


def _split(listed: str) -> list[str]:
    """``six,idna>=3,<4,black[d,jupyter]`` as three: a comma before a version, or in brackets, does not separate."""
    if is_file(listed):
        return [f"{_FILE}{name}" for name in listed[len(_FILE) :].split(",")]
    if is_path(listed) or is_address(listed):
        return [listed]
    parts: list[str] = []
    for part in listed.split(","):
        is_rest = parts and (part.strip()[:1] in "<>=!~" or parts[-1].count("[") > parts[-1].count("]"))
        if is_rest:
            parts[-1] = f"{parts[-1]},{part}"
        else:
            parts.append(part.strip())
    return parts


def _check_login(text: str) -> None:
    """UsageError for an address with a login: what is asked for is kept in files, the lock file among them."""
    import re  # noqa: PLC0415 - before the first locking only

    if (found := re.search(_LOGIN, text)) is not None:
        raise UsageError(
            f"the address at {found['host']} has a login in it, which would be kept on disk",
            hint="leave it out of the address, and put it into a netrc file, the keyring or git's credential helper",
            host=found["host"],
        )


def _check_file(path: str) -> None:
    if os.path.basename(path) == "-":
        raise UsageError("requirements cannot come from standard input", hint="write them into a file", path=path)
    if not os.path.isfile(path):
        raise UsageError(
            f"there is no file {path}", hint="--with-requirements takes the path of a requirements.txt", path=path
        )


def _check_path(path: str) -> None:
    if not os.path.exists(path):
        raise UsageError(f"there is no {path}", hint="a path is relative to the current folder", path=path)
    if os.path.isdir(path):
        if not any(os.path.isfile(os.path.join(path, name)) for name in _PROJECT_FILES):
            raise UsageError(
                f"{path} is no project: it has none of {', '.join(_PROJECT_FILES)}",
                hint="name the folder that has one",
                path=path,
            )
    elif not path.endswith(_ARCHIVES):
        raise UsageError(
            f"{path} is neither a wheel nor a source archive", hint=f"known are {', '.join(_ARCHIVES)}", path=path
        )


def _check_named(text: str) -> None:
    import re  # noqa: PLC0415 - before the first locking only

    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415 - as above

    try:
        Requirement(text)
    except InvalidRequirement as error:
        reason = str(error).partition("\n")[0]
        if wrong := re.search(r"=[<>]|(?<![=!<>~])=(?!=)", text):
            reason = f"{wrong[0]} compares nothing; one of == >= <= ~= != > < does"
        raise UsageError(
            f"{text!r} is no requirement: {reason}", hint="for example black, 'black>=25,<26', ./folder, git+https://…"
        ) from None
