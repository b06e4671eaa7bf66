"""The errors of the command line: one class for each thing that can be done about them.

    ClientError                       one line, a code, a hint; exit code 1
    ├── UsageError                    E_USAGE           the command was not understood; exit code 2
    ├── NoLockFileError               E_NO_LOCK         no lock file at or above a folder
    ├── NotLockedError                E_NOT_LOCKED      --locked forbids to lock what is not locked yet
    ├── UnknownMemberError            E_TARGET          the lock file has no workspace member of this name
    ├── ProjectOwnerError             E_PROJECT_OWNER   the project is another user's, and not trusted
    ├── HomeMissingError              E_NO_HOME         no HOME, and no variable that says where the store is
    ├── StoreOwnerError               E_STORE_OWNER     the store is another user's, or would be in another's home
    ├── SharedStoreError              E_SHARED          other accounts could not use what is to be shared
    ├── LockOldError                  E_LOCK_OLD        --locked, and the project has changed since it was locked
    ├── TargetNotFoundError           E_NOT_FOUND       no such script or command; exit code 127
    ├── TargetNotExecutableError      E_NOT_EXECUTABLE  found, but it cannot be executed; exit code 126
    ├── FrozenError                   E_FROZEN          nothing is made here, and it was not made before; exit code 125
    ├── EnvFileError                  E_ENV_FILE        a file with variables for the program cannot be read
    ├── CurrentFolderError            E_NO_FOLDER       the current folder is gone
    ├── OutputError                   E_OUTPUT          standard output cannot be written
    ├── FileAccessError               E_FILE            the system refuses a file that is needed
    ├── LinkRefusedError              E_LINK            something stands where the link is to be
    ├── UnknownEntryError             E_NO_ENTRY        no such entry in the store
    ├── UnknownNameError              E_NO_ENVIRONMENT  no environment has this name
    ├── NameTakenError                E_NAME_TAKEN      an environment has this name already
    ├── PipRefusedError               E_PIP             pip is not in the environment that it is to change
    ├── ServiceFileError              E_SERVICE         the service files cannot be installed
    ├── EnvironSizeError              E_ENVIRON         the environment variables are too large
    ├── ImageProblemError             E_IMAGE           an image cannot be built, staged or run; exit code 125
    ├── DaemonProblemError            the daemon's code: it refused or failed
    └── DaemonError                   E_DAEMON          the daemon cannot be talked to
        ├── DaemonNotRunningError     E_DAEMON_DOWN     no process listens on its socket
        ├── DaemonGoneError           E_DAEMON_GONE     it ended in the middle of an answer
        ├── DaemonTimeoutError        E_DAEMON_TIMEOUT  it does not answer
        ├── DaemonStartError          E_DAEMON_START    it could not be started
        ├── DaemonOwnerError          E_DAEMON_OWNER    the socket belongs to another user
        └── DaemonVersionError        E_DAEMON_VERSION  it speaks another version of the API

This module is imported on the way to every program, so it imports nothing itself.
"""


class ClientError(Exception):
    """An error that is told in one line.

    ``code`` is stable, for scripts; ``message`` names the thing and what was expected; ``hint`` says what to do;
    ``facts`` holds the values behind the message. ``exit_code`` is the exit code of the command (docs/exit-codes.md).
    """

    default_code = "E_PROBLEM"
    exit_code = 1

    def __init__(self, message: str, *, code: str | None = None, hint: str | None = None, **facts: object) -> None:
        self.code = code or self.default_code
        self.message = printable(message)
        self.hint = printable(hint) if hint else None
        self.facts = facts
        super().__init__(self.message)

    def report(self) -> str:
        """The lines for stderr: ``storectl: E_X: message``, then ``hint: …`` if there is one. Ends with a newline."""
        hint = f"hint: {self.hint}\n" if self.hint else ""
        return f"storectl: {self.code}: {self.message}\n{hint}"


def printable(text: str) -> str:
    """The text with every character that could steer a terminal (control, bidi, surrogate) escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


class UsageError(ClientError):
    """The command was not understood."""

    default_code = "E_USAGE"
    exit_code = 2


class NoLockFileError(ClientError):
    """No lock file at or above the folder ``facts['start']``, or the named one is missing."""

    default_code = "E_NO_LOCK"


class LockOldError(ClientError):
    """--locked was given, and the lock file was made before the project changed: ``facts['project']``."""

    default_code = "E_LOCK_OLD"


class NotLockedError(ClientError):
    """What is to run has no lock file, and it is forbidden to make one."""

    default_code = "E_NOT_LOCKED"


class UnknownMemberError(ClientError):
    """The lock file has no workspace member ``facts['name']``."""

    default_code = "E_TARGET"


class ProjectOwnerError(ClientError):
    """A file that decides what runs is another user's, and not trusted: ``facts['path']``, ``facts['uid']``."""

    default_code = "E_PROJECT_OWNER"


class HomeMissingError(ClientError):
    """Nothing says where the store is to be."""

    default_code = "E_NO_HOME"


class StoreOwnerError(ClientError):
    """This user cannot write the store; ``facts['path']`` and, if another user has it, ``facts['owner']``."""

    default_code = "E_STORE_OWNER"


class SharedStoreError(ClientError):
    """What is to be shared is in a folder that other accounts cannot enter: ``facts['path']``."""

    default_code = "E_SHARED"


class TargetNotFoundError(ClientError):
    """The name of the program is no script, no command of the environment and no command on PATH."""

    default_code = "E_NOT_FOUND"
    exit_code = 127


class TargetNotExecutableError(ClientError):
    """The program was found, but it cannot be executed."""

    default_code = "E_NOT_EXECUTABLE"
    exit_code = 126


class FrozenError(ClientError):
    """Nothing is made, started or asked here, and what is asked for was not made before (``storectl.frozen``)."""

    default_code = "E_FROZEN"
    exit_code = 125


class EnvFileError(ClientError):
    """A file with variables for the program cannot be read: ``facts['path']``."""

    default_code = "E_ENV_FILE"


class CurrentFolderError(ClientError):
    """The current folder is gone, and a path is relative to it."""

    default_code = "E_NO_FOLDER"


class OutputError(ClientError):
    """Standard output cannot be written; ``facts['errno']`` says why."""

    default_code = "E_OUTPUT"


class FileAccessError(ClientError):
    """The system refuses a file or folder that is needed."""

    default_code = "E_FILE"


class LinkRefusedError(ClientError):
    """A file or folder that is not storectl's stands where the link is to be."""

    default_code = "E_LINK"


class UnknownEntryError(ClientError):
    """No entry of the store has this name or prefix."""

    default_code = "E_NO_ENTRY"


class UnknownNameError(ClientError):
    """No named environment has this name: ``facts['name']``."""

    default_code = "E_NO_ENVIRONMENT"


class NameTakenError(ClientError):
    """A named environment has this name already: ``facts['name']``."""

    default_code = "E_NAME_TAKEN"


class PipRefusedError(ClientError):
    """`python -m pip` is for an environment that has no pip and cannot be changed by one."""

    default_code = "E_PIP"


class ServiceFileError(ClientError):
    """The service files cannot be installed here."""

    default_code = "E_SERVICE"


class EnvironSizeError(ClientError):
    """The command's environment variables are larger than what can be sent to the daemon."""

    default_code = "E_ENVIRON"


class ImageProblemError(ClientError):
    """An image cannot be built, staged or run."""

    default_code = "E_IMAGE"
    exit_code = 125


class DaemonProblemError(ClientError):
    """The daemon refused or failed; code, detail and hint are those of its answer.

    ``facts['missing_python']``: the Python that no interpreter is, if that is why; else None.
    """


class DaemonError(ClientError):
    """The daemon cannot be talked to."""

    default_code = "E_DAEMON"


class DaemonNotRunningError(DaemonError):
    """No process listens on the socket."""

    default_code = "E_DAEMON_DOWN"


class DaemonGoneError(DaemonError):
    """The daemon ended in the middle of an answer."""

    default_code = "E_DAEMON_GONE"


class DaemonTimeoutError(DaemonError):
    """The daemon's process is there, but does not answer in time: it is stopped or stuck."""

    default_code = "E_DAEMON_TIMEOUT"


class DaemonStartError(DaemonError):
    """The daemon could not be started."""

    default_code = "E_DAEMON_START"


class DaemonOwnerError(DaemonError):
    """The socket or its folder belongs to another user, whose answers must not be believed."""

    default_code = "E_DAEMON_OWNER"


class DaemonVersionError(DaemonError):
    """The daemon speaks another version of the API, or its answer cannot be read."""

    default_code = "E_DAEMON_VERSION"
