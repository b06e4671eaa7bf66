"""What a project's interpreter loads at start: a hook that has packages of its environment found by their import map.

CPython 3.9 to 3.14. A copy is in the site-packages folder ("the view") of each environment and started by ``_storectl.pth``
(``import _storectl; _storectl.start()``) or ``_storectl.start`` (``_storectl:start``, PEP 829), or by ``start_uncustomized``
in their place. It is all that a program needs which imports nothing from its environment: what reads the map is beside
site-packages, in ``_storectl_map.py``, and loaded when the first package is asked for. The view imports correctly without
either: whatever goes wrong here is one line on stderr, and then the plain view.
"""

import _frozen_importlib_external as _external
import os
import sys
from _frozen_importlib import ModuleSpec, module_from_spec

TYPE_CHECKING = False  # what type checkers take for true: typing is too much to import here
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

CUSTOMIZATIONS = ("sitecustomize", "usercustomize")  # what site looks for at every start

_stock: "Any" = _external  # some of what we build on has no public name


class FileFinder(_external.FileFinder):
    """The finder of the view itself, which is asked at every start and lets the map be read only where it has to be.

    It is built like the stock one, and is one until it is given a view.
    """

    _view: "View | None" = None
    _answering: "Any" = None
    _changed = False

    def answer_for(self, view: "View") -> "FileFinder":
        """This finder, which has the import map answer from now on."""
        self._view = view
        return self

    def find_spec(self, fullname: str, target: "ModuleType | None" = None) -> "ModuleSpec | None":
        """The spec that the stock finder gives."""
        if fullname == __name__ and self._view is not None and Started.module is not None:
            return ModuleSpec(fullname, Started(), origin=__file__)  # type: ignore[arg-type]  # it has all that import calls
        if self._answering is None and self._view is not None:
            if fullname in self._view.absent and not self._changed:
                return None
            self._answering = self._view.finder("")
            if self._changed and self._answering is not None:
                self._answering.invalidate_caches()
        if self._answering is None:
            return super().find_spec(fullname, target)
        spec: "ModuleSpec | None" = self._answering.find_spec(fullname, target)
        return spec

    def invalidate_caches(self) -> None:
        """Somebody says that the folder has changed: what the map does not know is looked for on disk from now on."""
        self._changed = True
        super().invalidate_caches()
        if self._answering is not None:
            self._answering.invalidate_caches()


class Started:
    """The loader of this module once it has left ``sys.modules``: site starts it twice in a venv, and it is here."""

    module: "ModuleType | None" = None

    def create_module(self, _spec: ModuleSpec) -> "ModuleType | None":
        return self.module

    def exec_module(self, _module: "ModuleType") -> None:
        return


class View:
    """A site-packages folder and its import map, which nobody reads before the first question that needs it.

    ``alias`` is the folder as a path through a symlink, as ``.pth`` files after ours may still have it in hand; ``address`` the
    daemon's socket, None for nobody to ask; ``absent`` are names known not to be right below the folder.
    Threads may race: only one reader is kept.
    """

    _map: "Any" = None

    def __init__(self, path: str, alias: str, address: "str | None", absent: "tuple[str, ...]") -> None:
        self.path = path
        self.alias = alias
        self.absent = absent
        self._address = address

    def finder(self, folder: str) -> "Any":
        """The finder of a folder below, or of the view itself (""); None where the map knows none, or cannot be used."""
        if self._map is None:
            try:
                made = load_reader(self.path).ImportMap(root_of(self.path), self.path, self._address, complain)
            except Exception as error:
                complain(f"the import map cannot be used ({str(error) or type(error).__name__})")
                made = NoMap()
            self.__dict__.setdefault("_map", made)
        return self._map.finder(folder)


class NoMap:
    """In place of a map that nothing can read."""

    def finder(self, folder: str) -> None:
        """None: the stock finders answer."""


def load_reader(view: str) -> "Any":
    """The module beside site-packages; ``sys.modules`` stays as it was."""
    spec: "Any" = _external.spec_from_file_location("_storectl_map", view.rpartition("/")[0] + "/_storectl_map.py")
    reader = module_from_spec(spec)
    spec.loader.exec_module(reader)
    return reader


def hooks() -> "list[Any]":
    """What ``sys.path_hooks`` has, and behind it each hook that one of ours stands for."""
    found = list(sys.path_hooks)
    for hook in found:
        stands_for = getattr(hook, "storectl_stands_for", None)
        if stands_for is not None:
            found.append(stands_for)
    return found


def path_hook(view: View, stands_for: "Any") -> "Callable[[Any], Any]":
    """What ``sys.path_hooks`` has in place of the standard one, which it asks for all but the folders that the map knows.

    Tools look for the one hook of the standard name (Ansible), and for the loaders in its closure (beartype).
    """
    loader_details = tuple(_stock._get_supported_file_loaders())  # noqa: SLF001  # the only place that knows them

    def hook_of_view(path: "Any") -> "Any":
        finder = None
        if isinstance(path, str):
            for root in (view.path, view.alias):
                if path == root:
                    return FileFinder(view.path, *loader_details).answer_for(view)
                folder = path[len(root) + 1 :]
                if finder is None and folder and path.startswith(root + "/"):
                    finder = view.finder(folder)
        return hook.storectl_stands_for(path) if finder is None else finder

    hook: "Any" = hook_of_view
    hook.__name__, hook.__qualname__, hook.__module__ = (
        stands_for.__name__,
        stands_for.__qualname__,
        stands_for.__module__,
    )
    hook.storectl_view, hook.storectl_stands_for = view.path, stands_for
    return hook_of_view


def pin(alias: str, view: str) -> None:
    """Take the process from the path through a symlink to the environment itself: a later move of the link is not ours.

    In a venv site adds the folder twice, the second time by its new name: it stays on ``sys.path`` once, and so do the
    folders below it that ``.pth`` files name.
    """

    def pinned(entry: str) -> str:
        return view + entry[len(alias) :] if entry == alias or str(entry).startswith(alias + "/") else entry

    sys.path[:] = dict.fromkeys(map(pinned, sys.path))
    frame: "Any" = sys._getframe()  # noqa: SLF001  # site keeps what it has added in a local variable
    while frame is not None and frame.f_code.co_name != "addpackage":
        frame = frame.f_back
    known = None if frame is None else frame.f_locals.get("known_paths")
    if isinstance(known, set):
        known.update([pinned(entry) for entry in known])
    given, root = root_of(alias), root_of(view)
    if given == root:
        return
    for name in ("prefix", "exec_prefix"):
        if getattr(sys, name) == given:
            setattr(sys, name, root)
    if (sys.executable or "").startswith(given + "/"):
        sys.executable = root + sys.executable[len(given) :]
    site = sys.modules.get("site")
    if site is not None:
        site.PREFIXES[:] = [root if prefix == given else prefix for prefix in site.PREFIXES]


def root_of(view: str) -> str:
    """``<root>`` of ``<root>/lib/python3.12/site-packages``."""
    return view.rsplit("/", 3)[0]


def complain(trouble: str) -> None:
    """The one line."""
    if sys.stderr is not None:
        sys.stderr.write(f"storectl: {' '.join(trouble.split())}; using the plain environment\n")


def start_uncustomized() -> None:
    """Start in a view that has no module of ``CUSTOMIZATIONS``."""
    start(CUSTOMIZATIONS)


def start(absent: "tuple[str, ...]" = ()) -> None:
    """Put the hook in the place of the standard one, once for a view, and leave ``sys.modules`` as it was. Never an exception."""
    try:
        address = os.environ.pop("STORECTL_SOCKET", None)  # children read the file
        if os.getuid() == os.geteuid() and os.getgid() == os.getegid():
            install(os.path.dirname(__file__), address, absent)
    except Exception as error:
        complain(f"the import map cannot be used ({str(error) or type(error).__name__})")
    finally:
        Started.module = sys.modules.pop(__name__, Started.module)


def install(alias: str, address: "str | None", absent: "tuple[str, ...]") -> None:
    """The steps of a start, for the view on ``sys.path`` as ``alias``."""
    hooked = [getattr(hook, "storectl_view", None) for hook in hooks()]
    if alias in hooked:
        return  # site starts us twice in a venv
    view = real_path(alias)
    of_prefix = f"{sys.prefix}/lib/{library()}/site-packages"
    if alias == view != of_prefix and real_path(of_prefix) == view:
        alias = of_prefix  # PYTHONPATH names the environment itself
    if not view.endswith(f"/{library()}/site-packages"):
        return  # another interpreter was sent here: its suffixes are others
    if view != alias:
        pin(alias, view)
    if view not in hooked:
        standard = _external.FileFinder.path_hook().__qualname__
        place = max(i for i, hook in enumerate(sys.path_hooks) if getattr(hook, "__qualname__", "") == standard)
        sys.path_hooks[place] = path_hook(View(view, alias, address, absent), sys.path_hooks[place])
        for path in [path for path in sys.path_importer_cache if str(path).startswith((view, alias))]:
            del sys.path_importer_cache[path]


def library() -> str:
    """The name of this interpreter's folder below ``lib``."""
    return f"python{sys.version_info[0]}.{sys.version_info[1]}{'t' * ('t' in sys.abiflags)}"


def real_path(path: str) -> str:
    """The path of this folder without symbolic links: the kernel tells it at once, where ``/proc`` says what is open."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            found = os.readlink(f"/proc/self/fd/{descriptor}")
            if os.path.samestat(os.stat(found), os.fstat(descriptor)):
                return found
        finally:
            os.close(descriptor)
    except (OSError, AttributeError):
        pass
    return os.path.realpath(path)
