"""What a program finds in the environment it runs in, as flat JSON: a dict of ``section/key`` to a value.

Runs inside either environment, so it uses the standard library of CPython 3.9 to 3.14 only. Paths are made relative to the
environment: ``<prefix>``, ``<site>`` for its site-packages, ``<base>`` for the interpreter's own folder.

    python inside.py [--plain] SECTION...      all of it on stdout
    python inside.py [--plain] imports NAME... each module imported in a process of its own

``--plain`` comes with ``-S``: it runs ``site`` itself, after putting something that does nothing in the place of the shim.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.machinery
import json
import os
import pkgutil
import signal
import sys
import types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

IMPORT_SECONDS = 120


def start_without_shim() -> None:
    """What ``site`` does at start-up, but for the shim."""
    stub = types.ModuleType("_storectl")
    stub.start = stub.start_uncustomized = lambda: None  # type: ignore[attr-defined]
    sys.modules["_storectl"] = stub
    import site

    site.main()
    del sys.modules["_storectl"]


@functools.cache
def site_packages() -> str:
    import sysconfig

    return sysconfig.get_path("purelib")


def relative(text: str) -> str:
    """The text with the folders of this environment and its interpreter replaced by their names."""
    for folder, name in ((site_packages(), "<site>"), (sys.prefix, "<prefix>"), (sys.base_prefix, "<base>")):
        text = text.replace(folder, name)
    return text


def loader_kind(loader: object) -> str:
    """The class of the standard library that the loader is, or is made from."""
    if loader is None or "Namespace" in type(loader).__name__:
        return "namespace"
    for kind in type(loader).__mro__:
        if kind.__module__.startswith(("importlib", "_frozen_importlib")):
            return kind.__name__
    return type(loader).__name__


def spec_of(spec: importlib.machinery.ModuleSpec) -> list[object]:
    """A spec as a value: kind of loader, origin, cached file, folders of a package."""
    locations = spec.submodule_search_locations
    return [
        loader_kind(spec.loader),
        relative(spec.origin) if spec.origin else None,
        relative(spec.cached) if spec.cached else None,
        None if locations is None else [relative(place) for place in locations],
    ]


def walk(path: list[str], prefix: str = "") -> Iterator[tuple[str, bool, importlib.machinery.ModuleSpec | None]]:
    """Every module below these folders as ``pkgutil`` lists them, found but not imported: pairs of name and spec."""
    for module in pkgutil.iter_modules(path, prefix):
        spec = importlib.machinery.PathFinder.find_spec(module.name, path)
        yield module.name, module.ispkg, spec
        if module.ispkg and spec is not None and spec.submodule_search_locations is not None:
            yield from walk(list(spec.submodule_search_locations), module.name + ".")


def modules() -> dict[str, object]:
    """Every importable module of site-packages."""
    found: dict[str, object] = {}
    for name, is_package, spec in walk([site_packages()]):
        found["modules/" + name] = [is_package, None if spec is None else spec_of(spec)]
    return found


def top_level() -> dict[str, object]:
    """What ``pkgutil.iter_modules()`` says without a path, below the environment."""
    names = sorted(module.name for module in pkgutil.iter_modules([site_packages()]))
    everywhere = {module.name for module in pkgutil.iter_modules()}
    return {"top_level/" + name: name in everywhere for name in names}


def distributions() -> dict[str, object]:
    """``importlib.metadata``: names, versions, files, requirements, entry points."""
    import importlib.metadata as metadata

    found: dict[str, object] = {}
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"]
        place = "metadata/" + name + "/"
        if place + "version" in found:
            place += "again/"
        found[place + "version"] = distribution.version
        found[place + "requires"] = sorted(distribution.requires or [])
        found[place + "text"] = distribution.read_text("METADATA")
        for file in distribution.files or []:
            found[place + "files/" + str(file)] = [
                file.hash.value if file.hash else None,
                os.path.exists(file.locate()),
            ]
        for point in distribution.entry_points:
            found[place + "entry_points/" + point.group + "/" + point.name] = point.value
        for extra in ("direct_url.json", "top_level.txt"):
            text = distribution.read_text(extra)
            if text is not None:
                found[place + extra] = relative(text).strip()
    if hasattr(metadata, "packages_distributions"):
        for package, names in metadata.packages_distributions().items():
            found["packages_distributions/" + package] = sorted(set(names))
    return found


def paths() -> dict[str, object]:
    """Where the interpreter says that things are."""
    import site
    import sysconfig

    found: dict[str, object] = {
        "paths/sysconfig/" + name: relative(path) for name, path in sysconfig.get_paths().items()
    }
    for number, path in enumerate(site.getsitepackages()):
        found[f"paths/getsitepackages/{number}"] = relative(path)
    own = [os.path.dirname(os.path.abspath(__file__)), os.getcwd(), ""]
    for number, path in enumerate(entry for entry in sys.path if entry not in own):
        found[f"paths/sys.path/{number}"] = relative(path)
    found["paths/user_site"] = bool(site.ENABLE_USER_SITE)
    found["paths/is_environment"] = sys.prefix != sys.base_prefix
    found["paths/executable"] = relative(sys.executable)
    found["paths/exec_prefix"] = relative(sys.exec_prefix)
    return found


def files() -> dict[str, object]:
    """Every file below the prefix, through links, with its contents; bytecode and the scripts' first lines apart."""
    found: dict[str, object] = {}
    prefix = os.fsencode(sys.prefix)
    for folder, folders, names in os.walk(sys.prefix, followlinks=True):
        folders[:] = [name for name in folders if name != "__pycache__" and not is_link_to_lib(folder, name)]
        for name in names:
            path = os.path.join(folder, name)
            if name.endswith(".pyc") or not os.path.isfile(path):
                continue
            with open(path, "rb") as file:
                content = file.read()
            executable = os.access(path, os.X_OK) and bool(os.stat(path).st_mode & 0o111)
            in_bin = os.path.basename(folder) == "bin" and os.path.dirname(folder) == sys.prefix
            if in_bin:
                content = content.replace(prefix, b"<prefix>")
            found["files/" + os.path.relpath(path, sys.prefix)] = [hashlib.sha256(content).hexdigest()[:16], executable]
    return found


def is_link_to_lib(folder: str, name: str) -> bool:
    return folder == sys.prefix and name == "lib64" and os.path.islink(os.path.join(folder, name))


def outcome_of(name: str) -> list[object]:
    """Import a module and say what it is, with the resources of a package; or which exception came."""
    try:
        module = importlib.import_module(name)
    except BaseException as error:
        return [type(error).__name__, relative(str(error))[:500]]
    spec = getattr(module, "__spec__", None)
    return [
        "ok",
        relative(getattr(module, "__file__", None) or ""),
        [relative(place) for place in getattr(module, "__path__", [])],
        spec_of(spec) if spec is not None else None,
        resources_of(module),
    ]


def resources_of(module: types.ModuleType) -> list[str] | None:
    """The names beside a package, as ``importlib.resources`` lists them."""
    if not getattr(module, "__path__", None):
        return None
    try:
        from importlib.resources import files as resource_files

        return sorted(entry.name for entry in resource_files(module).iterdir() if entry.name != "__pycache__")
    except Exception as error:
        return [type(error).__name__, relative(str(error))[:200]]


def imported(name: str) -> object:
    """The outcome of importing a module in a process of its own, where nothing else was imported before."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nothing, descriptor)
        signal.alarm(IMPORT_SECONDS)
        try:
            with os.fdopen(writing, "w") as answer:
                json.dump(outcome_of(name), answer)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        text = answer.read()
    _, status = os.waitpid(child, 0)
    return json.loads(text) if text else ["died", status]


SECTIONS = {
    "modules": modules,
    "top_level": top_level,
    "metadata": distributions,
    "paths": paths,
    "files": files,
}


def main(arguments: list[str]) -> None:
    if arguments[0] == "--plain":
        start_without_shim()
        arguments = arguments[1:]
    found: dict[str, object] = {}
    if arguments[0] == "imports":
        for name in arguments[1:]:
            found["imports/" + name] = imported(name)
    else:
        for section in arguments:
            found.update(SECTIONS[section]())
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
