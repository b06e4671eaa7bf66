"""How a front differs from the environment that it was made from: what uv, pip or a person added, took out, changed."""

from dataclasses import dataclass
from pathlib import Path

from storectl_store.environments.front.contents import site_packages_of
from storectl_store.environments.front.installed import Installed, installed


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Projects with their versions, as texts for a person."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


def difference(front: Path, view: Path) -> Difference:
    """Compare the distributions of the two. May raise OSError."""
    site_packages = site_packages_of(view)
    locked = {each.name: each for each in installed(view, site_packages)}
    found = {each.name: each for each in installed(front, site_packages)}
    both = [(found[name], locked[name]) for name in sorted(found.keys() & locked.keys())]
    return Difference(
        added=tuple(_told(found[name]) for name in sorted(found.keys() - locked.keys())),
        removed=tuple(_told(locked[name]) for name in sorted(locked.keys() - found.keys())),
        changed=tuple(
            f"{_told(there)}{'' if there.version == wanted.version else f' instead of {wanted.version}'}"
            f", installed by {there.installer or 'another program'}"
            for there, wanted in both
            if not there.ours or there.version != wanted.version
        ),
    )


def _told(each: Installed) -> str:
    return f"{each.name} {each.version}"
