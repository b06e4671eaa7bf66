"""What a project's interpreter loads at its start: a hook that finds the environment's packages by their import map.

CPython 3.9 to 3.14. A copy is in the site-packages folder ("the view") of each environment. It is started by
``_storectl.pth`` (``import _storectl; _storectl.start()``) or ``_storectl.start`` (``_storectl:start``, PEP 829), or
by ``start_uncustomized`` in their place. The module that reads the map, ``_storectl_map.py`` beside site-packages, is
loaded when the first package is asked for. The view can be imported from without either: if anything goes wrong here,
there is one line on stderr, and then the plain view.
"""

import _frozen_importlib_external as _external
import os
import sys
from _frozen_importlib import ModuleSpec, module_from_spec

TYPE_CHECKING = False  # type checkers take it for true; to import typing would take too long here
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

CUSTOMIZATIONS = ("sitecustomize", "usercustomize")  # site looks for these at every start
AMENDED = ("shutil", "py_compile")  # modules of the standard library that ``_storectl_amend`` amends
LEASED, NUMBERS = "pyvenv.cfg", range(200, 210)  # see storectl_shim/leases.py
PIP = "/pip/_internal/utils"  # the folder of the module that it amends, of any pip that runs in the environment
# What an editor's server runs for as long as it is open, to ask the project's Python where its modules are now.
SEES_CHANGES = "/jedi/inference/compiled/subprocess/__main__.py"

_stock: "Any" = _external  # some of what we build on has no public name


class FileFinder(_external.FileFinder):
    """The finder of the view itself. Every start asks it, so it has the map read only if that must be.

    It is built like the stock finder, and behaves like it until it is given a view.
    """

    _view: "View | None" = None
    _answering: "Any" = None
    _changed = False

    def answer_for(self, view: "View") -> "FileFinder":
        """Have the import map of the view answer from now on; return this finder."""
        self._view = view
        return self

    def find_spec(self, fullname: str, target: "ModuleType | None" = None) -> "ModuleSpec | None":
        """The spec that the stock finder gives."""
        spec = self._known_spec(fullname, target)
        return self._view.added_spec(fullname, target) if spec is None and self._view is not None else spec

    def _known_spec(self, fullname: str, target: "ModuleType | None") -> "ModuleSpec | None":
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
        """Look on disk, from now on, for what the map does not know: the caller says that the folder has changed."""
        self._changed = True
        super().invalidate_caches()
        if self._answering is not None:
            self._answering.invalidate_caches()


class Started:
    """The loader of this module once it has left ``sys.modules``: in a venv site imports it a second time."""

    module: "ModuleType | None" = None

    def create_module(self, _spec: ModuleSpec) -> "ModuleType | None":
        return self.module

    def exec_module(self, _module: "ModuleType") -> None:
        return


class View:
    """A site-packages folder and its import map, which is not read before a question needs it.

    ``alias`` is the folder's path through a symlink, which ``.pth`` files after ours may still use, or the folder of
    packages of a front (see ``start_in_front``), which was changed at ``changed`` (ns). ``address`` is the daemon's
    socket, None if there is no daemon to ask. ``absent`` are names known not to be right below the folder. Threads may
    race: only one reader is kept.
    """

    _map: "Any" = None

    def __init__(
        self, path: str, alias: str, address: "str | None", absent: "tuple[str, ...]", changed: "int | None" = None
    ) -> None:
        self.path = path
        self.alias = alias
        self.absent = absent
        self._address = address
        self._changed = changed

    def added_spec(self, fullname: str, target: "ModuleType | None") -> "ModuleSpec | None":
        """The spec of a module that was put into the front after this program has started; else None."""
        if self._changed is None or fullname in self.absent or os.stat(self.alias).st_mtime_ns == self._changed:
            return None
        finder = _external.FileFinder(self.alias, *_stock._get_supported_file_loaders())  # noqa: SLF001  # as for the hook
        spec: "ModuleSpec | None" = finder.find_spec(fullname, target)
        return spec

    def finder(self, folder: str) -> "Any":
        """The finder of a folder below the view, or of the view itself ("").

        None if the map does not know the folder, or cannot be used.
        """
        if self._map is None:
            try:
                reader = load(self.path, "_storectl_map")
                made = reader.ImportMap(root_of(self.path), self.path, self._address, complain)
            except Exception as error:
                complain(f"the import map cannot be used ({str(error) or type(error).__name__})")
                made = False  # the stock finders answer
            self.__dict__.setdefault("_map", made)
        return self._map.finder(folder) if self._map else None


def load(view: str, name: str) -> "Any":
    """A module beside site-packages, loaded; ``sys.modules`` stays as it was."""
    spec: "Any" = _external.spec_from_file_location(name, f"{view.rpartition('/')[0]}/{name}.py")
    loaded = module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def amend_library(view: str) -> None:
    """Have the standard library's finder give ``AMENDED`` to ``_storectl_amend``."""
    finder: "Any" = sys.path_importer_cache.get(os.path.dirname(os.__file__))
    if finder is None or "find_spec" in finder.__dict__:
        return
    stock = finder.find_spec

    def find_spec(fullname: str, target: "ModuleType | None" = None) -> "ModuleSpec | None":
        spec: "ModuleSpec | None" = stock(fullname, target)
        if fullname in AMENDED and spec is not None:
            try:
                load(view, "_storectl_amend").amend_later(spec)
            except Exception:
                pass
        return spec

    finder.find_spec = find_spec


def hooks() -> "list[Any]":
    """The hooks of ``sys.path_hooks``, and behind them those that our hooks have replaced."""
    found = list(sys.path_hooks)
    for hook in found:
        if hasattr(hook, "storectl_stands_for"):
            found.append(hook.storectl_stands_for)
    return found


def path_hook(view: View, stands_for: "Any") -> "Callable[[Any], Any]":
    """The hook that replaces the standard one on ``sys.path_hooks``, and asks it for the folders that the map lacks."""
    # Tools look for the one hook with the standard name (Ansible), and for the loaders in its closure (beartype).
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
            if finder is None and path.endswith(PIP):
                finder = amending_finder(view.path, path)
        return hook.storectl_stands_for(path) if finder is None else finder

    hook: "Any" = named_as(stands_for, hook_of_view, view.path)
    return hook_of_view


def amending_finder(view: str, path: str) -> "Any":
    """A finder of this folder, whatever the map knows of it, whose loaders amend; None if it cannot be made."""
    try:
        reader = load(view, "_storectl_map")
        return reader.FileFinder(path, *reader.amending_loaders())
    except Exception:
        return None


def root_of(view: str) -> str:
    """``<root>`` of ``<root>/lib/python3.12/site-packages``."""
    return view.rsplit("/", 3)[0]


def complain(trouble: str) -> None:
    """Write the one line on stderr."""
    if sys.stderr is not None:
        sys.stderr.write(f"storectl: {' '.join(trouble.split())}; using the plain environment\n")


def open_lease(path: str) -> int:
    """Open the file out of the way of the program's own descriptors; FileNotFoundError if the environment is gone."""
    flags = os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_SHLOCK", 0)
    try:
        descriptor = os.open(path, flags | os.O_NONBLOCK)
    except BlockingIOError:
        # The collector is deciding: wait until it lets go of the file, and see if it is still there.
        os.close(os.open(path, flags))
        return open_lease(path)
    try:
        number = next(number for number in NUMBERS if is_at(number, descriptor))
        os.dup2(descriptor, number, inheritable=False)
    except (OSError, StopIteration):  # so many files must not be open
        return descriptor
    os.close(descriptor)
    return number


def is_at(number: int, descriptor: int) -> bool:
    """Whether nothing has this number, or the same file has it."""
    try:
        return os.path.samestat(os.fstat(number), os.fstat(descriptor))
    except OSError:
        return True


def hold(root: str, given: "str | None") -> "int | None":
    """Keep the environment in this folder as long as this process lives: the number of its lease; None if it is gone.

    ``given`` may be the number of the launcher's lease. If it is not, that descriptor is the program's own business.
    """
    path = f"{root}/{LEASED}"
    try:
        if given is not None and os.readlink(f"/proc/self/fd/{int(given)}") == path:
            os.set_inheritable(int(given), False)
            return int(given)
    except (OSError, ValueError):
        pass
    try:
        number = open_lease(path)
    except FileNotFoundError:
        return None
    if sys.prefix != root:
        os.read(number, 1)  # Python has read another pyvenv.cfg
    return number


def start_uncustomized() -> None:
    """Start in a view that has no module of ``CUSTOMIZATIONS``."""
    start(CUSTOMIZATIONS)


def start(absent: "tuple[str, ...]" = ()) -> None:
    """Replace the standard hook, once for each view. ``sys.modules`` stays as it was. Never raises an exception."""
    begin(lambda address, lease: install(os.path.dirname(__file__), address, lease, absent))


def start_in_front(view: str, changed: int, absent: "tuple[str, ...]") -> None:
    """Start in a front: a venv of links, which its owner may change. ``view`` is that of the environment behind it.

    The daemon left the front's folder of packages with the modification time ``changed`` (ns). If it has another one,
    or if the environment is gone, or if the program is there to see what changes, this is a venv like any other; but
    its links lead into a store all the same, and root is kept from writing bytecode through them.
    """

    def install_in_front(address: "str | None", lease: "str | None") -> None:
        amend_library(view)
        front = os.path.dirname(__file__)
        hooked = [getattr(hook, "storectl_view", None) for hook in hooks()]
        if view in hooked or front in hooked or not view.endswith(f"/{library()}/site-packages"):
            return
        held = not "".join(sys.argv[:1]).endswith(SEES_CHANGES) and hold(root_of(view), lease) is not None
        if held and os.stat(front).st_mtime_ns == changed:
            serve(View(view, front, address, absent, changed))
        elif os.geteuid() == 0:
            only_read(front)
            sys.path_importer_cache.pop(front, None)

    begin(install_in_front)


def only_read(front: str) -> None:
    """Have packages of a front loaded without writing bytecode through links: modes do not stop root."""

    class SourceFileLoader(_external.SourceFileLoader):
        def set_data(self, path: str, data: "Any", *, _mode: int = 0o666) -> None:
            """Write the bytecode if its module is really in the front."""
            folder = os.path.dirname(os.path.dirname(path))
            if (real_path(folder) + "/").startswith(real_path(front) + "/"):
                super().set_data(path, data, _mode=_mode)

    details = [
        (SourceFileLoader if loader is _external.SourceFileLoader else loader, suffixes)
        for loader, suffixes in _stock._get_supported_file_loaders()  # noqa: SLF001  # as for the hook of a view
    ]

    def make(stands_for: "Any") -> "Callable[[Any], Any]":
        def hook_of_front(path: "Any") -> "Any":
            inside = isinstance(path, str) and (path + "/").startswith(front + "/") and os.path.isdir(path)
            return _external.FileFinder(path, *details) if inside else hook.storectl_stands_for(path)

        hook: "Any" = named_as(stands_for, hook_of_front, front)
        return hook_of_front

    replace_hook(make)


def named_as(stands_for: "Any", hook: "Any", path: str) -> "Any":
    """The hook for this folder under the name of the one that it replaces: tools look for that name."""
    hook.__name__, hook.__qualname__, hook.__module__ = (
        stands_for.__name__,
        stands_for.__qualname__,
        stands_for.__module__,
    )
    hook.storectl_view, hook.storectl_stands_for = path, stands_for
    return hook


def replace_hook(make: "Callable[[Any], Any]") -> None:
    """Put the hook that ``make`` makes of the standard one in its place."""
    standard = _external.FileFinder.path_hook().__qualname__
    place = max(i for i, hook in enumerate(sys.path_hooks) if getattr(hook, "__qualname__", "") == standard)
    sys.path_hooks[place] = make(sys.path_hooks[place])


def begin(install_with: "Callable[[str | None, str | None], None]") -> None:
    """Call this with the daemon's socket and the launcher's lease, unless the program has another user's rights."""
    try:
        address = os.environ.pop("STORECTL_SOCKET", None)  # the program's children read the file instead
        lease = os.environ.pop("STORECTL_LEASE", None)  # they take their own
        if os.getuid() == os.geteuid() and os.getgid() == os.getegid():
            install_with(address, lease)
    except Exception as error:
        complain(f"the import map cannot be used ({str(error) or type(error).__name__})")
    finally:
        Started.module = sys.modules.pop(__name__, Started.module)


def install(alias: str, address: "str | None", lease: "str | None", absent: "tuple[str, ...]") -> None:
    """Do the steps of a start, for the view that is on ``sys.path`` as ``alias``."""
    hooked = [getattr(hook, "storectl_view", None) for hook in hooks()]
    if alias in hooked:
        return  # in a venv site starts this module twice
    held = hold(root_of(alias), lease)
    view = real_path(alias, held)
    of_prefix = f"{sys.prefix}/lib/{library()}/site-packages"
    if alias == view != of_prefix and real_path(of_prefix) == view:
        alias = of_prefix  # PYTHONPATH names the environment itself
    if not view.endswith(f"/{library()}/site-packages"):
        return  # this is another interpreter, whose suffixes differ
    if view != alias:
        load(view, "_storectl_amend").pin(alias, view)
    if view not in hooked:
        if (held is None or view != alias) and hold(root_of(view), lease) is None:
            raise FileNotFoundError(f"{root_of(view)} is gone from the store")
        amend_library(view)
        serve(View(view, alias, address, absent))


def serve(view: View) -> None:
    """Have the import map answer for the folders of the view."""
    replace_hook(lambda stands_for: path_hook(view, stands_for))
    for path in [path for path in sys.path_importer_cache if str(path).startswith((view.path, view.alias))]:
        del sys.path_importer_cache[path]


def library() -> str:
    """The name of this interpreter's folder below ``lib``."""
    return f"python{sys.version_info[0]}.{sys.version_info[1]}{'t' * ('t' in sys.abiflags)}"


def real_path(path: str, lease: "int | None" = None) -> str:
    """The path of this folder without symbolic links. With ``/proc`` the kernel tells it in one call.

    ``lease`` is the number of the environment's lease, if this is its site-packages: it mostly has no links.
    """
    try:
        if lease is not None and os.readlink(f"/proc/self/fd/{lease}") == f"{root_of(path)}/{LEASED}":
            if not os.path.islink(path):
                return path
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
