"""The command line and the Python API of storectl.

The API is documented in docs/python-api.md. A name of it is loaded when it is first used: the command line imports this
module on its way to every program.
"""

__version__ = "0.1.0"
"""A literal, as pyproject.toml has it: asking the installed metadata takes 37 ms. A test compares the two."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from storectl_shim.activation import activate, environment
    from storectl_shim.activation_errors import ActivationError, ActivationWarning, ConflictError
    from storectl_shim.checkouts import from_git
    from storectl_shim.environment import Environment

__all__ = [
    "ActivationError",
    "ActivationWarning",
    "ConflictError",
    "Environment",
    "__version__",
    "activate",
    "environment",
    "from_git",
]

_HOMES = {
    "ActivationError": "activation_errors",
    "ActivationWarning": "activation_errors",
    "ConflictError": "activation_errors",
    "Environment": "environment",
    "activate": "activation",
    "environment": "activation",
    "from_git": "checkouts",
}
"""Which module of storectl_shim has each name of the API."""


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib  # noqa: PLC0415 - see above

    return getattr(importlib.import_module(f"storectl_shim.{_HOMES[name]}"), name)
