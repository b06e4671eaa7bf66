"""The activation scripts of a virtual environment, for every shell, as virtualenv writes them."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any


def activation_scripts(front: Path, prompt: str, site_packages: str) -> Mapping[str, bytes]:
    """The scripts for the front at this path: path below it -> content.

    A shell whose script cannot name the path gets none.
    """
    return dict(_scripts(front, prompt, site_packages))


def _scripts(front: Path, prompt: str, site_packages: str) -> Iterator[tuple[str, bytes]]:
    creator: Any = SimpleNamespace(
        dest=front,
        bin_dir=front / "bin",
        env_name=front.name,
        libs=[front / site_packages],
        pyenv_cfg={},
        interpreter=SimpleNamespace(tcl_lib=None, tk_lib=None),
    )
    for kind in _activators():
        activator = kind(SimpleNamespace(prompt=prompt))
        for template in activator.templates():
            values = activator.replacements(creator, creator.bin_dir)
            # As virtualenv writes them: PowerShell wants a mark, and csh gets bytes that are no text on their own.
            encoding = "utf-8-sig" if template.endswith(".ps1") else "utf-8"
            errors = "surrogateescape" if template.endswith(".csh") else "strict"
            with suppress(UnicodeError):
                text = activator.instantiate_template(values, template, creator)
                yield f"bin/{activator.as_name(template)}", text.encode(encoding, errors)


@cache
def _activators() -> tuple[Any, ...]:
    """The activators of virtualenv, loaded when the first front is made. Its first versions lack that of xonsh."""
    from virtualenv import activation  # noqa: PLC0415 - few daemons make a front

    shells = ("Bash", "CShell", "Fish", "Nushell", "PowerShell", "Python", "Xonsh")
    names = [f"{shell}Activator" for shell in shells]
    return tuple(getattr(activation, name) for name in names if hasattr(activation, name))
