"""Index lookup: finds the file of a pin that has only digests, as pip's, Poetry's, PDM's and Pipenv's locks do."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from storectl_daemon.errors import DaemonError, FetchError, IndexLookupError, OfflineError
from storectl_daemon.indexes.config_layer import Source
from storectl_daemon.indexes.configuration import IndexSettings
from storectl_daemon.indexes.file import IndexFile, allows_python
from storectl_daemon.indexes.pages import IndexPages, SourceAnswer
from storectl_daemon.indexes.url_book import UrlBook, is_locked
from storectl_daemon.network.address import Address
from storectl_daemon.network.fetch import Fetcher
from storectl_store.digest import Digest, algorithm_of
from storectl_store.errors import NoWheelError
from storectl_store.selection.build_policy import format_refused
from storectl_store.selection.choose import choose_wheel
from storectl_store.selection.pin import IndexPin, Pin, SourceArchive, SourcePin, WheelFile
from storectl_store.selection.target import Interpreter

_MOST_ANSWERS = 5000


class Answers:
    """The files that pins were found to be, in memory. They hold for the same places and interpreter."""

    def __init__(self) -> None:
        self._found: OrderedDict[tuple[IndexPin, tuple[Address, ...], str], Pin | SourcePin] = OrderedDict()

    def recall(self, pin: IndexPin, places: Sequence[Address], interpreter: Interpreter) -> Pin | SourcePin | None:
        """The file found earlier for this pin, if these places were asked; otherwise None."""
        return self._found.get((pin, tuple(places), interpreter.identity))

    def note(self, pin: IndexPin, places: Sequence[Address], interpreter: Interpreter, found: Pin | SourcePin) -> None:
        """Remember the file that was found, unless it is a file of this machine: that may be another one next time."""
        if Address(file_of(found).url).is_file:
            return
        self._found[pin, tuple(places), interpreter.identity] = found
        if len(self._found) > _MOST_ANSWERS:
            self._found.popitem(last=False)


class IndexClient:
    """Turns index pins into pins: from the book of addresses if it has the answer, else by asking every source.

    It asks on behalf of one command: with the command's ``settings``, and with a ``fetcher`` that has the command's
    logins. ``present`` tells whether the store has a wheel. If it has, it does not matter which index offered that
    wheel.
    """

    def __init__(
        self,
        *,
        fetcher: Fetcher,
        book: UrlBook,
        settings: IndexSettings,
        pages: IndexPages,
        answers: Answers,
        present: Callable[[Digest], bool],
    ) -> None:
        self._fetcher = fetcher
        self._book = book
        self._settings = settings
        self._pages = pages
        self._answers = answers
        self._present = present
        self._asked: dict[Digest, tuple[IndexPin, Interpreter]] = {}

    async def resolve(
        self, pin: IndexPin, interpreter: Interpreter, *, refresh: bool = False, offline: bool = False
    ) -> Pin | SourcePin:
        """The best wheel for the interpreter among the files with one of the digests; if there is no wheel, the sdist.

        With ``offline`` only the book answers (OfflineError if it cannot); folders are still asked if no digest is
        locked. With ``refresh`` the sources are asked even if the book knows the answer, because the known address no
        longer works.

        Raises NoWheelError if files have the digests but none fits. Raises IndexLookupError if no source offers such a
        file, or if a source that was needed could not be asked (OfflineError if it could not be reached).
        """
        sources = sources_of(pin, self._settings)
        for place in (*pin.indexes, *pin.find_links):
            self._fetcher.credentials.learn(Address(place))
        places = [source.address for source in sources]
        found = None if refresh else self._answers.recall(pin, places, interpreter)
        if found is None and not refresh:
            found = await asyncio.to_thread(self._known_elsewhere, pin, interpreter, offline=offline)
        if found is None:
            found = choose_pin(pin, await self._files(pin, sources, refresh=refresh, offline=offline), interpreter)
            self._answers.note(pin, places, interpreter, found)
        self._asked[file_of(found).digest] = pin, interpreter
        return found

    def _known_elsewhere(self, pin: IndexPin, interpreter: Interpreter, *, offline: bool) -> Pin | SourcePin | None:
        """The file by what any index has said, provided that it need not be fetched. No index is asked."""
        files = self._book.recall(pin, None) if pin.digests else None
        if files is None:
            return None
        found = choose_pin(pin, files, interpreter)
        return found if offline or self._present(file_of(found).digest) else None

    async def moved(self, file: WheelFile, failure: FetchError) -> WheelFile:
        """The file at the address that its index gives now; raises ``failure`` again if just that address failed."""
        if file.digest not in self._asked:
            raise failure
        pin, interpreter = self._asked[file.digest]
        try:
            now = file_of(await self.resolve(pin, interpreter, refresh=True))
        except DaemonError:
            raise failure from None
        if now.digest != file.digest or now.url == file.url:
            raise failure
        return replace(file, url=now.url)

    async def _files(
        self, pin: IndexPin, sources: Sequence[Source], *, refresh: bool, offline: bool
    ) -> tuple[IndexFile, ...]:
        places = [source.address for source in sources]
        files = None if refresh else await asyncio.to_thread(self._book.recall, pin, places)
        if offline:
            sources = tuple(source for source in sources if source.is_local and not pin.digests)
        if files is None and offline and not sources:
            raise OfflineError(
                f"{pin.name} {pin.version} was never looked up",
                hint="warm the project once without --offline",
                name=pin.name,
            )
        if files is None:
            files = await self._ask(pin, sources, anew=refresh)
            await asyncio.to_thread(self._book.record, pin, places, files)
        return files

    async def _ask(self, pin: IndexPin, sources: Sequence[Source], *, anew: bool = False) -> tuple[IndexFile, ...]:
        """Every file with a digest of the pin, each digest once, from the first source that has it.

        If no source states a digest that can be compared with those of the pin: every file that may be a locked one.
        With ``anew`` a source is asked even if a page that was kept is still fresh.
        """
        answers = await asyncio.gather(
            *(self._pages.ask(self._fetcher, source, pin.name, pin.version, anew=anew) for source in sources),
            return_exceptions=True,
        )
        given = [answer for answer in answers if isinstance(answer, SourceAnswer)]
        failures = [answer for answer in answers if isinstance(answer, BaseException)]
        for failure in failures:
            if not isinstance(failure, FetchError):
                raise failure
        found = _by_digest(pin, given)
        if _is_incomplete(pin, found) and any(answer.kept for answer in given):
            return await self._ask(pin, sources, anew=True)  # a missing file may have been uploaded since
        if failures and _is_incomplete(pin, found):
            # The failed source may have a better fit. Without it the choice would depend on the state of the network.
            raise _source_failed(pin, [f for f in failures if isinstance(f, FetchError)])
        found = found or _undecided(pin, given)
        if not found:
            raise _unknown(pin, sources, given)
        return found


def sources_of(pin: IndexPin, settings: IndexSettings) -> tuple[Source, ...]:
    """The sources to ask, in order: those that the lock file names, then the user's unless the file replaces them.

    Find-links places only ever add to each other, as with pip. A project that has places of its own
    (``[tool.uv.sources]``) is looked for in those alone.
    """
    named, links = tuple(map(Address, pin.indexes)), tuple(map(Address, pin.find_links))
    assigned = settings.assigned.get(pin.name)
    if assigned is None or pin.exclusive:
        links += settings.find_links
        named += () if pin.exclusive else settings.indexes
        assigned = ()
    flat = (Source(address=address, find_links=True) for address in links)
    return tuple(dict.fromkeys((*flat, *(Source(address=address) for address in named), *assigned)))


def choose_pin(pin: IndexPin, files: Iterable[IndexFile], interpreter: Interpreter) -> Pin | SourcePin:
    """The pin with the wheel that fits best, else with its source distribution. Raises NoWheelError if nothing fits."""
    offered = tuple(files)
    usable = [file for file in offered if allows_python(file, interpreter.version)]
    allowed = [file for file in usable if file.is_wheel and "wheel" in pin.formats]
    chosen = choose_wheel((_wheel_file(pin, file) for file in allowed), interpreter)
    if chosen is None:
        source = next((file for file in usable if not file.is_wheel), None)
        if refused := _refused(pin, usable):
            raise format_refused(pin.name, pin.version, refused, pin.settings or "a setting")
        if source is None:
            raise _nothing_fits(pin, offered, interpreter)
        return _source_pin(pin, source)
    index = next(file.index for file in allowed if file.url == chosen.url)
    return Pin(name=pin.name, version=pin.version, wheel=chosen, index=index)


def file_of(pin: Pin | SourcePin) -> WheelFile | SourceArchive:
    """The file of a pin that an index gave."""
    if isinstance(pin, Pin):
        return pin.wheel
    assert isinstance(pin.source, SourceArchive), "an index gives no commits"
    return pin.source


def _source_pin(pin: IndexPin, file: IndexFile) -> SourcePin:
    wheel = _wheel_file(pin, file)
    archive = SourceArchive(
        filename=wheel.filename, digest=wheel.digest, url=wheel.url, size=wheel.size, one_of=wheel.one_of
    )
    return SourcePin(
        name=pin.name,
        version=pin.version,
        source=archive,
        index=file.index,
        config_settings=pin.config_settings,
    )


def _wheel_file(pin: IndexPin, file: IndexFile) -> WheelFile:
    """The file with its locked digest, or with all of them if the index does not tell which of them it has."""
    if file.digest is not None and is_locked(pin, file):
        return WheelFile(filename=file.filename, digest=file.digest, url=file.url, size=file.size)
    return WheelFile(filename=file.filename, digest=min(pin.digests), url=file.url, size=file.size, one_of=pin.digests)


def _by_digest(pin: IndexPin, answers: Iterable[SourceAnswer]) -> tuple[IndexFile, ...]:
    """The files that the answers state a locked digest for, each with that digest."""
    found: dict[str, IndexFile] = {}
    for answer in answers:
        for file in answer.files:
            known = _with_locked_digest(pin, file)
            if known.digest is not None and is_locked(pin, known):
                found.setdefault(known.digest, known)
    return tuple(found.values())


def _with_locked_digest(pin: IndexPin, file: IndexFile) -> IndexFile:
    """The file. If the locked digest is another one of its digests, the file gets that one as its ``digest``."""
    if file.others and pin.digests and file.digest not in pin.digests:
        return replace(file, digest=min(file.others & pin.digests, default=file.digest), others=frozenset())
    return file


def _undecided(pin: IndexPin, answers: Iterable[SourceAnswer]) -> tuple[IndexFile, ...]:
    """The files that may be locked ones although no index states it: only their bytes can tell.

    No index states a digest of theirs by a locked algorithm. If file names are locked too, each of these files has such
    a name.
    """
    algorithms = set(map(algorithm_of, pin.digests))
    found: dict[str, IndexFile] = {}
    for answer in answers:
        for file in answer.files:
            stated = {algorithm_of(digest) for digest in (file.digest, *file.others) if digest is not None}
            if algorithms.isdisjoint(stated) and (not pin.filenames or file.filename in pin.filenames):
                found.setdefault(file.filename, file)
    return tuple(found.values()) if pin.digests else ()


def _is_incomplete(pin: IndexPin, found: Sequence[IndexFile]) -> bool:
    return len(found) < len(pin.digests or pin.filenames)


def _nothing_fits(pin: IndexPin, files: Sequence[IndexFile], interpreter: Interpreter) -> NoWheelError:
    python = f"{interpreter.implementation} {interpreter.version}"
    names = sorted(file.filename for file in files)
    demands = sorted({file.requires_python or "" for file in files if not allows_python(file, interpreter.version)})
    hint = "use another Python (-p), or lock another version"
    if not any(file.is_wheel for file in files):
        why = f"is locked as a source distribution only: {_some(names)}"
        hint = "build a wheel of it into a find-links folder, and lock again"
    elif demands:
        why = f"has no locked wheel for {python}, which {_some(demands)} excludes: {_some(names)}"
    else:
        why = f"has no locked wheel for {python} on this platform: {_some(names)}"
    return NoWheelError(
        f"{pin.name} {pin.version} {why}", hint=hint, name=pin.name, version=pin.version, filenames=names
    )


def _refused(pin: IndexPin, files: Sequence[IndexFile]) -> str | None:
    """Why the pin's settings allow none of these files, in words; None if the settings are not the reason."""
    has_sdist = any(not file.is_wheel for file in files)
    if "sdist" not in pin.formats and (has_sdist or "wheel" not in pin.formats):
        return "has no wheel that may be taken and would have to be built"
    return "has no source distribution to be built" if "wheel" not in pin.formats and not has_sdist else None


def _source_failed(pin: IndexPin, failures: Sequence[FetchError]) -> DaemonError:
    kind = OfflineError if all(isinstance(failure, OfflineError) for failure in failures) else IndexLookupError
    return kind(
        f"{pin.name} {pin.version} cannot be looked up: {'; '.join(failure.message for failure in failures)}",
        hint=failures[0].hint,
        name=pin.name,
        version=pin.version,
    )


def _unknown(pin: IndexPin, sources: Sequence[Source], answers: Sequence[SourceAnswer]) -> IndexLookupError:
    others = sorted({file.filename for answer in answers for file in answer.files})
    notes = {answer.source: f" ({answer.note})" for answer in answers if answer.note}
    asked = [f"{source.address}{notes.get(source, '')}" for source in sources]
    where = _some(asked) if asked else "no index is configured"
    what = f"; {_some(others)} of that version {_why_others(pin)}" if others else ""
    wanted = "a locked digest" if pin.digests else f"a strong digest for {_some(sorted(pin.filenames))}"
    return IndexLookupError(
        f"{pin.name} {pin.version} is offered by no index with {wanted}: {where}{what}",
        hint=_what_to_do(pin, others),
        name=pin.name,
        version=pin.version,
        asked=asked,
        other_files=others,
    )


def _what_to_do(pin: IndexPin, others: Sequence[str]) -> str:
    if not others:
        return "add the index that has it to the lock file or to your pip or uv configuration"
    if pin.digests:
        return "lock again"
    return "put the file into a folder and name that as find-links: its digest is counted; or lock with digests"


def _why_others(pin: IndexPin) -> str:
    return "have other digests" if pin.digests else "have none, or are others"


def _some(texts: Sequence[str], most: int = 6) -> str:
    rest = len(texts) - most
    return ", ".join(texts[:most]) + (f" and {rest} more" if rest > 0 else "")
