"""What few starts need: amendments of modules that are wrong about an environment whose files are in a store; pinning.

pip and coverage are amended when the environment's import map finds them, ``shutil`` and ``py_compile`` when the
standard library is asked for them. CPython 3.9 to 3.14. A copy is beside the site-packages folder of each environment;
it is loaded when one of these modules is imported, or the environment is used through a link.
"""

import os
import sys

TYPE_CHECKING = False  # type checkers take it for true; to import typing would take too long here
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

LIBRARY = os.path.dirname(__file__)  # lib/pythonX.Y of the environment


def keep_pip_out(module: "Any") -> None:
    """Have ``pip install`` and ``uninstall`` refuse (PEP 668) in an environment too: in a venv pip allows them."""
    stock = module.check_externally_managed

    def check_externally_managed() -> None:
        if not LIBRARY.startswith(sys.prefix + "/lib/"):
            stock()
            return
        error = module.ExternallyManagedEnvironment.from_config(LIBRARY + "/EXTERNALLY-MANAGED")
        error.note_stmt = error.hint_stmt = None  # they say how to install into a system's Python all the same
        raise error

    module.check_externally_managed = check_externally_managed


def leave_store_out(module: "Any") -> None:
    """Have ``coverage`` take all of the store for third-party code: it follows links before it asks what is."""
    name = "_add_third_party_paths" if hasattr(module, "_add_third_party_paths") else "add_third_party_paths"
    stock = getattr(module, name)

    def add_third_party_paths(paths: "set[str]") -> None:
        stock(paths)
        paths.update(root + "/store" for root in stores())

    setattr(module, name, add_third_party_paths)


def stores() -> "list[str]":
    """The roots of the store of this environment, and of others that it leads to."""
    root = LIBRARY.rsplit("/", 2)[0]
    found = [root.rsplit("/", 2)[0]]
    try:
        with open(root + "/layers", encoding="utf-8", errors="surrogateescape") as file:
            found += [line[:-1] for line in file if line.startswith("/")]
    except OSError:
        pass  # it leads into its own store only
    return found


def let_copies_be_written(module: "Any") -> None:
    """Have ``shutil`` let the owner write a copy of what is in a store, where everything is read-only."""

    def amended(stock: "Any") -> "Any":
        def copy(src: "Any", dst: "Any", *, follow_symlinks: bool = True) -> None:
            stock(src, dst, follow_symlinks=follow_symlinks)
            mode = os.lstat(dst).st_mode
            if not mode & 0o200 and mode & 0o170000 != 0o120000 and in_store(src):
                os.chmod(dst, mode & 0o7777 | 0o200)

        return like(copy, stock)

    module.copymode, module.copystat = amended(module.copymode), amended(module.copystat)


def write_no_bytecode(module: "Any") -> None:
    """Have ``py_compile`` write nothing into a store, which has its bytecode, and tell what does not compile."""
    stock = module.compile

    def compile(file: "Any", cfile: "Any" = None, *further: "Any", **options: "Any") -> "Any":  # noqa: A001  # its name
        if not in_store(os.path.dirname(os.path.abspath(cfile or file))):
            return stock(file, cfile, *further, **options)
        from tempfile import TemporaryDirectory

        with TemporaryDirectory() as folder:
            compiled = stock(file, folder + "/x.pyc", *further, **options)
        return compiled and (cfile or module.importlib.util.cache_from_source(file))

    module.compile = like(compile, stock)


def like(function: "Any", stock: "Any") -> "Any":
    """The function, which says of itself what the stock one does."""
    for name in ("__module__", "__name__", "__qualname__", "__doc__"):
        setattr(function, name, getattr(stock, name))
    function.__wrapped__ = stock  # its signature
    return function


def in_store(path: "Any") -> bool:
    """Whether this file or folder, links followed, is below a folder with the parts of a store."""
    folder = os.path.realpath(path)
    while len(folder) > 1:
        folder = os.path.dirname(folder)
        if all(os.path.exists(folder + part) for part in ("/VERSION", "/meta", "/environments")):
            return True
    return False


AMENDMENTS: "dict[str, Callable[[Any], None]]" = {
    "pip._internal.utils.misc": keep_pip_out,
    "coverage.inorout": leave_store_out,
    "shutil": let_copies_be_written,
    "py_compile": write_no_bytecode,
}


def amend(module: "Any") -> None:
    """Amend the module, if there is anything to amend; if the module has changed it stays as it is."""
    amendment = AMENDMENTS.get(module.__name__)
    if amendment is not None:
        try:
            amendment(module)
        except Exception:
            pass


def amending(base: "Any") -> "Any":
    """The class of loaders that amend: a subclass of the loader of ``_storectl_map``."""

    class AmendingLoader(base):  # type: ignore[misc]
        def exec_module(self, module: "ModuleType") -> None:
            """Run the module as the stock loader does, then amend it."""
            super().exec_module(module)
            amend(module)

        # As those of its base, this frame is left out of tracebacks.
        exec_module.__code__ = exec_module.__code__.replace(co_filename=base.get_code.__code__.co_filename)

    return AmendingLoader


def amend_later(spec: "Any") -> None:
    """Have the module of this spec amended when it is loaded. Afterwards its loader is the stock one again."""
    stock: "Any" = spec.loader

    class Once(type(stock)):  # type: ignore[misc]
        def exec_module(self, module: "Any") -> None:
            super().exec_module(module)
            module.__loader__ = module.__spec__.loader = stock
            amend(module)

    spec.loader = Once(stock.name, stock.path)


def pin(alias: str, view: str) -> None:
    """Have this process use the environment itself in place of a link to it, so that the link may move later.

    In a venv site adds the folder twice, the second time by its new name. It stays on ``sys.path`` once, and so do the
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
    given, root = (path.rsplit("/", 3)[0] for path in (alias, view))
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


def is_copied(root: str, magic: bytes) -> bool:
    """Whether this folder is a copy of an environment: its map, which begins with ``magic``, has the id of another."""
    folder, _, name = root.rpartition("/")
    try:
        descriptor = os.open(root + "/import-map", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            fields = os.pread(descriptor, len(magic) + 34, 0).rsplit(b" ", 2)
        finally:
            os.close(descriptor)
    except OSError:
        return False
    of_environment = fields[0] == magic and len(fields[1]) == 32 and not folder.endswith("/environments")
    return of_environment and fields[1] != os.fsencode(name)
