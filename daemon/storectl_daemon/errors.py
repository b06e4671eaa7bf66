"""The errors of the daemon: one class for each kind of problem that calls for a reaction of its own.

    ProblemError                          (of the store) anything a person is told in one line
    └── DaemonError                       E_DAEMON
        ├── FetchError                    E_FETCH                a file or page could not be had
        │   └── OfflineError              E_OFFLINE              no connection to the host could be made at all
        ├── IndexLookupError              E_INDEX                no index knows the file, or one is misconfigured
        ├── StoreGoneError                E_STORE_GONE           the store was deleted or replaced under the daemon
        ├── UnknownProjectError           E_UNKNOWN_PROJECT      the folder is not registered, or is gone
        ├── UnknownEnvironmentError       E_UNKNOWN_ENVIRONMENT  no environment with this id
        ├── UnknownEntryError             E_UNKNOWN_ENTRY        no entry with this digest
        ├── BisectionError                E_BISECT               a history has nothing that could be found in it
        ├── UnknownPinError               E_UNKNOWN_PIN          nothing is pinned by this name
        ├── UnknownGenerationError        E_UNKNOWN_GENERATION   no such generation in the history of the project
        ├── GitRefError                   E_GIT_REF              git knows no such ref, or cannot show a file of it
        └── of a node daemon, in its modules   E_POLICY, E_ROLE, E_BUSY, E_ORIGIN, E_QUOTA, E_PRIVATE, E_NODE

No message, hint or fact ever holds a credential: ``storectl_daemon.network.address.Address`` shows none.
"""

from storectl_store.errors import ProblemError


class DaemonError(ProblemError):
    """The daemon cannot do what was asked."""

    default_code = "E_DAEMON"


class FetchError(DaemonError):
    """A file or page could not be had; ``facts`` may hold ``url`` (redacted) and ``status``."""

    default_code = "E_FETCH"


class OfflineError(FetchError):
    """No connection to a host could be made; ``facts['url']`` (redacted)."""

    default_code = "E_OFFLINE"


class IndexLookupError(DaemonError):
    """No index offers a file with a locked digest, or the configuration of the indexes is broken.

    ``facts`` may hold ``name``, ``version``, ``asked`` (redacted addresses) and ``path`` (of a configuration file).
    """

    default_code = "E_INDEX"


class StoreGoneError(DaemonError):
    """The store that this daemon writes is not there any more, or not whole; ``facts['path']`` is what is missing."""

    default_code = "E_STORE_GONE"


class UnknownProjectError(DaemonError):
    """The folder is not a registered project; ``facts['path']``."""

    default_code = "E_UNKNOWN_PROJECT"


class UnknownEnvironmentError(DaemonError):
    """There is no environment with this id; ``facts['id']``."""

    default_code = "E_UNKNOWN_ENVIRONMENT"


class UnknownEntryError(DaemonError):
    """There is no entry with this digest; ``facts['digest']``."""

    default_code = "E_UNKNOWN_ENTRY"


class UnknownGenerationError(DaemonError):
    """The history of the project has no such generation."""

    default_code = "E_UNKNOWN_GENERATION"


class GitRefError(DaemonError):
    """What was to be compared is no ref of the project's repository, or git cannot show the file in it."""

    default_code = "E_GIT_REF"


class BisectionError(DaemonError):
    """Nothing can be found between these generations: an end is not what it is taken for, or there is none."""

    default_code = "E_BISECT"


class UnknownPinError(DaemonError):
    """Nothing is pinned by this name."""

    default_code = "E_UNKNOWN_PIN"
