"""Activation scripts of an export. If it is relocatable, those of bash, zsh and fish find it by their own path."""

import shlex
from collections.abc import Mapping
from pathlib import Path

from storectl_store.environments.front.activation import activation_scripts

_PLACE = "/storectl.export"  # stands for the path in what virtualenv writes: unquoted for sh, in quotes for fish
_OF_PATHS = frozenset({"bin/activate.csh", "bin/deactivate.csh", "bin/activate.nu"})
_OWN_PATH = """\
_VENV={folder}
if [ -n "${{BASH_VERSION-}}" ]; then
    _VENV=$(dirname -- "$(dirname -- "$(realpath -- "${{BASH_SOURCE[0]}}")")")
elif [ -n "${{ZSH_VERSION-}}" ]; then
    eval '_VENV=${{(%):-%x}}'
    _VENV=$(dirname -- "$(dirname -- "$(realpath -- "$_VENV")")")
fi
"""


def export_activation(folder: Path | None, site_packages: str, *, relocatable: bool) -> Mapping[str, bytes]:
    """The scripts by path. Those that only work with a path are left out if there is no ``folder``."""
    prompt = folder.name if folder is not None else "export"
    scripts = {} if folder is None else dict(activation_scripts(folder, prompt, site_packages))
    if relocatable:
        anywhere = activation_scripts(Path(_PLACE), prompt, site_packages)
        scripts = {path: text for path, text in anywhere.items() if path not in _OF_PATHS} | scripts
        start = _OWN_PATH.format(folder=shlex.quote(str(folder or _PLACE)))
        scripts["bin/activate"] = start.encode() + anywhere["bin/activate"].replace(_PLACE.encode(), b'"$_VENV"')
        own = b"(dirname (dirname (realpath (status filename))))"
        scripts["bin/activate.fish"] = anywhere["bin/activate.fish"].replace(f"'{_PLACE}'".encode(), own)
    return scripts
