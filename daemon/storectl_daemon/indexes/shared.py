"""What is known of indexes for all commands together: addresses, pages, settings, and answers of keyring programs."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path

from storectl_daemon.indexes.configuration import IndexSettings, read_settings
from storectl_daemon.indexes.look_up import Answers, IndexClient
from storectl_daemon.indexes.page_store import PageStore
from storectl_daemon.indexes.pages import IndexPages
from storectl_daemon.indexes.url_book import UrlBook
from storectl_daemon.network.credentials import Credentials, credentials_of
from storectl_daemon.network.fetch import Fetcher
from storectl_daemon.network.keyring_program import KeyringProgram
from storectl_store.digest import Digest

_MOST_KEYRINGS = 8


class SharedIndexes:
    """Shared by all commands of one daemon. For one event loop, except ``settings``, which blocks."""

    def __init__(self, book: UrlBook, pages: PageStore, *, present: Callable[[Digest], bool]) -> None:
        self._book = book
        self._pages = IndexPages(pages)
        self._answers = Answers()
        self._present = present
        self._keyrings: OrderedDict[frozenset[tuple[str, str]], KeyringProgram] = OrderedDict()

    def client(self, fetcher: Fetcher, settings: IndexSettings) -> IndexClient:
        """A client that looks pins up for a command with these settings. The fetcher has the command's logins."""
        return IndexClient(
            fetcher=fetcher,
            book=self._book,
            settings=settings,
            pages=self._pages,
            answers=self._answers,
            present=self._present,
        )

    def settings(self, environ: Mapping[str, str], home: Path, project: Path | None) -> IndexSettings:
        """The settings of a project, or those of the user. Raises IndexLookupError if a file cannot be parsed."""
        return read_settings(environ, home, project)

    def credentials(self, settings: IndexSettings, environ: Mapping[str, str], home: Path) -> Credentials:
        """The logins of a command: those in its settings, its netrc file, and its keyring program."""
        found = credentials_of(environ, home, keyring=self._keyring(environ), ask_keyring=settings.keyring)
        for place in settings.addresses:
            found.learn(place)
        return found

    def _keyring(self, environ: Mapping[str, str]) -> KeyringProgram:
        """The program that these variables find, with its answers: the user may have had to unlock a keyring."""
        key = frozenset(environ.items())
        known = self._keyrings.setdefault(key, KeyringProgram(environ))
        self._keyrings.move_to_end(key)
        if len(self._keyrings) > _MOST_KEYRINGS:
            self._keyrings.popitem(last=False)
        return known
