"""The Python API for an interpreter that does not have storectl: it runs this file, by its path.

    import runpy, subprocess
    api = subprocess.check_output(["storectl", "env", "api"], text=True).strip()
    storectl = runpy.run_path(api)
    storectl["activate"]()

In IPython and notebooks ``%run {path}`` defines these names in the notebook itself. Only this folder becomes
importable, as ``storectl_shim``; what is installed beside it does not.
"""

import importlib
import importlib.util
import os
import sys

if "storectl_shim" not in sys.modules:
    _folder = os.path.dirname(os.path.abspath(__file__))
    _spec = importlib.util.spec_from_file_location(
        "storectl_shim", os.path.join(_folder, "__init__.py"), submodule_search_locations=[_folder]
    )
    assert _spec is not None
    assert _spec.loader is not None
    sys.modules["storectl_shim"] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules["storectl_shim"])

_activation = importlib.import_module("storectl_shim.activation")
_checkouts = importlib.import_module("storectl_shim.checkouts")
_errors = importlib.import_module("storectl_shim.activation_errors")

activate = _activation.activate
environment = _activation.environment
from_git = _checkouts.from_git
Environment = _activation.Environment
ActivationError = _errors.ActivationError
ActivationWarning = _errors.ActivationWarning
ConflictError = _errors.ConflictError

__all__ = [
    "ActivationError",
    "ActivationWarning",
    "ConflictError",
    "Environment",
    "activate",
    "environment",
    "from_git",
]
