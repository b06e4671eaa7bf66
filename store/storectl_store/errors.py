"""The errors of the store: one class for each thing that a person or a caller can act on.

    ProblemError                      anything a person is told in one line, with a code and a hint
    ├── StoreError                    the store on disk
    │   ├── StoreBusyError            E_STORE_BUSY    another process is the writer
    │   ├── StoreFormatError          E_STORE_FORMAT  made by another version, or not a store
    │   ├── StoreFullError            E_DISK          no space, quota, or an I/O error
    │   ├── PrefixCollisionError      E_PREFIX        the address is taken by another digest
    │   └── LayerError                E_LAYER         a lower store cannot be used
    ├── WheelError                    E_HASH, E_ZIP_*, E_LAYOUT, E_WHEEL_META, E_RECORD, E_ENTRYPOINT
    ├── SelectionError
    │   ├── LockFileError             E_LOCK          unreadable, malformed or unsupported lock file
    │   ├── NoLockFileError           E_NO_LOCK       no lock file at or above a folder
    │   ├── ProjectOwnerError         E_PROJECT_OWNER another user's files would decide what runs
    │   ├── UnsupportedSourceError    E_SOURCE        a kind of source that cannot be used yet
    │   ├── NoWheelError              E_NO_WHEEL      no wheel of a pin fits the target
    │   ├── FormatRefusedError        E_FORMAT        the project's settings leave no file of a pin
    │   └── TargetError               E_TARGET        extras, groups or interpreter do not fit the lock file
    ├── NotWarmedError                E_FROZEN        frozen, and what is asked for was not made before
    ├── EnvironmentBuildError         E_ENVIRONMENT   a closure cannot be made visible
    ├── ExportError                   E_EXPORT        an environment cannot be exported to this place
    └── ImageError                    E_IMAGE         an image is not whole, or cannot be made or used here

The daemon adds its own root, ``storectl_daemon.errors.DaemonError``, below ``ProblemError``.
"""

import re
from collections.abc import Sequence
from typing import Any, ClassVar

_LOGIN = re.compile(
    r"""
    //(?!git@)[^\s/?#]*@                                     # //user:password@ and //token@
    | (?<![\w.%+~-])[\w.%+~-]++:[^\s/@]{1,256}@              # user:password@ without what goes before
    | //[^\s/@:?#\[]*:(?!\d*(?:\W|$))[^\s/@?#'"`\u2026]*     # //user:passw, where an excerpt ends; //host:80 is none
    """,
    re.VERBOSE,
)
_NAMES_VARIABLES = re.compile(r"(?://)?(?:[^\s/:@$]*:)?(?:\$\{\w+\}:?)+@")
_SHORTEST_PASSWORD = 6
"""The shortest password (in characters) that is looked for in the rest of a text; shorter ones are parts of words."""


class ProblemError(Exception):
    """Something a person is told in one line.

    ``code`` is stable and machine-readable, ``message`` names the thing and what was expected, ``hint`` says what to
    do, ``facts`` holds the values behind the message. Control characters of untrusted text are escaped, and the logins
    of addresses in it are left out.
    """

    default_code: ClassVar[str] = "E_PROBLEM"
    default_hint: ClassVar[str | None] = None
    """What to do if the place that raises the error knows nothing better."""
    longest: ClassVar[int] = 10_000
    """The length, in characters, at which message and hint are cut off."""

    def __init__(self, message: str, *, code: str | None = None, hint: str | None = None, **facts: Any) -> None:
        self.code = code or self.default_code
        self.message = self._told(message)
        hint = hint or self.default_hint
        self.hint = self._told(hint) if hint else None
        self.facts = facts
        super().__init__(self.message)

    def _told(self, text: str) -> str:
        told = without_logins(printable(text[: 2 * self.longest]))
        return told if len(told) <= self.longest else f"{told[: self.longest - 1]}\u2026"

    def __str__(self) -> str:
        line = f"{self.code}: {self.message}"
        return f"{line} (hint: {self.hint})" if self.hint else line

    def __reduce__(self) -> tuple[Any, ...]:
        return _revive, (type(self), self.message, self.code, self.hint, self.facts)


def _revive(kind: type[ProblemError], message: str, code: str, hint: str | None, facts: dict[str, Any]) -> ProblemError:
    return kind(message, code=code, hint=hint, **facts)


def printable(text: str) -> str:
    """The text with every character that could steer a terminal (control, bidi, surrogate) escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def without_logins(text: str) -> str:
    """The text with the login of every address replaced by asterisks; an address may be cut off before its end.

    The passwords of these logins are replaced wherever else they stand too, for instance in a path or a program's
    output.
    """
    told = _LOGIN.sub(lambda match: f"{'//' * match[0].startswith('//')}****{'@' * match[0].endswith('@')}", text)
    passwords = {_password_in(match[0]) for match in _LOGIN.finditer(text)}
    for password in sorted(passwords, key=len, reverse=True):  # one may begin with another, whose end would be left
        if len(password) >= _SHORTEST_PASSWORD:
            told = told.replace(password, "****")
    return told


def left_out_logins(texts: Sequence[str]) -> list[str]:
    """The texts without the logins of their addresses, and without the passwords of these wherever else they stand.

    A login that only names variables (``//ann:${TOKEN}@``) says nothing, and stays.
    """
    passwords: set[str] = set()

    def left_out(match: re.Match[str]) -> str:
        if _NAMES_VARIABLES.fullmatch(match[0]):
            return match[0]
        passwords.add(_password_in(match[0]))
        return "//" if match[0].startswith("//") else ""

    told = [_LOGIN.sub(left_out, text) if "@" in text else text for text in texts]
    for password in sorted(passwords, key=len, reverse=True):  # as above
        if len(password) >= _SHORTEST_PASSWORD:
            told = [text.replace(password, "") for text in told]
    return told


def _password_in(login: str) -> str:
    return login.removeprefix("//").removesuffix("@").partition(":")[2]


class StoreError(ProblemError):
    """The store on disk cannot be used; the cause is in the message, and in ``facts`` if it is an OSError."""

    default_code = "E_STORE"
    default_hint = "storectl doctor looks at the store, storectl store verify --repair makes again what is damaged"


class StoreBusyError(StoreError):
    """Another process holds the writer's lock; ``facts['owner']`` is its process id if known."""

    default_code = "E_STORE_BUSY"


class StoreFormatError(StoreError):
    """The folder is not a store, or was written by a version that this one cannot read."""

    default_code = "E_STORE_FORMAT"


class StoreFullError(StoreError):
    """The file system refused a write: no space, quota, read-only, or an I/O error."""

    default_code = "E_DISK"


class PrefixCollisionError(StoreError):
    """An entry with the same prefix and another digest stands at the address."""

    default_code = "E_PREFIX"


class LayerError(StoreError):
    """A lower store cannot be used, or an environment needs one that is left out; ``facts['path']`` is its folder."""

    default_code = "E_LAYER"
    default_hint = "storectl layer list shows what each layer is"


class SilentLayerError(LayerError):
    """A lower store does not answer: the file system that it is on waits for a server."""


class UntrustedLayerError(LayerError):
    """Others than its owner could have written what is in a lower store, so nothing of it is used."""


class WheelError(ProblemError):
    """A wheel was refused; ``code`` names the step, ``facts['member']`` the member if there is one."""

    default_code = "E_WHEEL"
    default_hint = "lock another version of it, or tell its maintainers: docs/wheel-checks.md has the rules"


class SelectionError(ProblemError):
    """A lock file and a target do not make a selection. Messages are cut off at 600 characters."""

    default_code = "E_SELECTION"
    longest = 600


class LockFileError(SelectionError):
    """A lock file that cannot be read; ``facts`` may hold ``path`` and ``line``."""

    default_code = "E_LOCK"
    default_hint = "correct it there, or lock again with the tool of the project: storectl lock"


class NoLockFileError(SelectionError):
    """There is no lock file at or above a folder."""

    default_code = "E_NO_LOCK"


class ProjectOwnerError(SelectionError):
    """A file that decides what runs belongs to another user and is in no trusted folder.

    ``facts['path']`` is the file, ``facts['uid']`` its owner.
    """

    default_code = "E_PROJECT_OWNER"


class UnsupportedSourceError(SelectionError):
    """The source of a pin (sdist, VCS, archive) cannot be used by this version; ``facts['name']`` is the project."""

    default_code = "E_SOURCE"


class NoWheelError(SelectionError):
    """No wheel of a pin fits the target's tags; ``facts['name']`` is the project."""

    default_code = "E_NO_WHEEL"


class FormatRefusedError(SelectionError):
    """The settings of the project's tool (no-binary, no-build) leave no file of a pin, ``facts['name']``."""

    default_code = "E_FORMAT"


class TargetError(SelectionError):
    """The lock file does not allow the target: its Python, an unknown extra or group, a conflict."""

    default_code = "E_TARGET"
    default_hint = "ask for what the lock file has, or lock again with the tool of the project: storectl lock"


class NotWarmedError(ProblemError):
    """What is asked for is in no store, and nothing may be made: this is frozen.

    ``facts`` may hold ``path`` of the project or environment, ``name`` of what is missing or ``missing``, and ``id``.
    """

    default_code = "E_FROZEN"
    default_hint = "warm it where the store can be written, such as a login node (storectl warm), with the same options"


class EnvironmentBuildError(ProblemError):
    """A closure cannot be made visible as an environment."""

    default_code = "E_ENVIRONMENT"
    default_hint = "storectl daemon logs has more; storectl doctor looks at the store and the interpreters"


class MissingProjectError(EnvironmentBuildError):
    """A local project is locked, and its folder holds none; ``facts['path']`` is the folder.

    It may still be created.
    """


class ExportError(ProblemError):
    """An environment cannot be exported to this place, or in this way; ``facts`` may hold ``path``."""

    default_code = "E_EXPORT"


class ImageError(ProblemError):
    """An image is not whole, or cannot be made, staged or used here; ``facts`` may hold ``path``."""

    default_code = "E_IMAGE"
