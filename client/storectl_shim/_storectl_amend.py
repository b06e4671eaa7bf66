"""Amendments of tools that are wrong about an environment whose files are in a store: pip and coverage.

CPython 3.9 to 3.14. A copy is beside the site-packages folder of each environment; ``_storectl_map`` beside it loads it
when one of these tools is imported.
"""

import sys

TYPE_CHECKING = False  # type checkers take it for true; to import typing would take too long here
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any


def keep_pip_out(module: "Any", library: str) -> None:
    """Have ``pip install`` and ``uninstall`` refuse (PEP 668) in an environment too: in a venv pip allows them."""
    stock = module.check_externally_managed

    def check_externally_managed() -> None:
        if not library.startswith(sys.prefix + "/lib/"):
            stock()
            return
        error = module.ExternallyManagedEnvironment.from_config(library + "/EXTERNALLY-MANAGED")
        error.note_stmt = error.hint_stmt = None  # they say how to install into a system's Python all the same
        raise error

    module.check_externally_managed = check_externally_managed


def leave_store_out(module: "Any", library: str) -> None:
    """Have ``coverage`` take all of the store for third-party code: it follows links before it asks what is."""
    name = "_add_third_party_paths" if hasattr(module, "_add_third_party_paths") else "add_third_party_paths"
    stock = getattr(module, name)

    def add_third_party_paths(paths: "set[str]") -> None:
        stock(paths)
        paths.add(library.rsplit("/", 4)[0] + "/store")

    setattr(module, name, add_third_party_paths)


AMENDMENTS: "dict[str, Callable[[Any, str], None]]" = {
    "pip._internal.utils.misc": keep_pip_out,
    "coverage.inorout": leave_store_out,
}


def amending(base: "Any") -> "Any":
    """The class of loaders that amend: a subclass of the loader of ``_storectl_map``."""

    class AmendingLoader(base):  # type: ignore[misc]
        def exec_module(self, module: "ModuleType") -> None:
            """Run the module as the stock loader does, then amend it. Without that, if the tool has changed."""
            super().exec_module(module)
            amend = AMENDMENTS.get(module.__name__)
            if amend is not None:
                try:
                    amend(module, self.path.rsplit("/site-packages/", 1)[0])
                except Exception:
                    pass

        # As those of its base, this frame is left out of tracebacks.
        exec_module.__code__ = exec_module.__code__.replace(co_filename=base.get_code.__code__.co_filename)

    return AmendingLoader
