"""How one project is to be built: what its tool's configuration adds to the source itself.

A recipe is part of the key of a build, and goes to the worker as JSON. It holds what users wrote into their own files,
so the store keeps only its digest.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, Self

ConfigSettings = Mapping[str, str | list[str]]
DefaultBackend = Literal["setuptools", "poetry"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to build. ``constraints`` hold for everything that is installed to build with.

    ``requires`` are build requirements beyond those that the source states. ``variables`` are set for the backend
    alone. ``config_settings`` are handed to its hooks (PEP 517). ``default_backend`` builds a project whose
    ``pyproject.toml`` has no ``[build-system]``.

    ``environment`` is for a build without isolation, otherwise None: the absolute path of the project's environment,
    whose packages and commands take the place of build requirements. ``uv_sources`` is whether ``[tool.uv.sources]``
    counts.
    """

    constraints: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    config_settings: ConfigSettings = field(default_factory=lambda: MappingProxyType({}))
    default_backend: DefaultBackend = "setuptools"
    environment: str | None = None
    uv_sources: bool = False

    @property
    def digest(self) -> str:
        """A hex digest of the whole recipe; empty if the recipe sets nothing."""
        if self == Recipe():
            return ""
        return hashlib.sha256(json.dumps(self.encode(), sort_keys=True).encode()).hexdigest()

    def encode(self) -> dict[str, Any]:
        """As JSON values; ``decode`` is the inverse."""
        return {**_plain(self), "variables": dict(self.variables), "config_settings": dict(self.config_settings)}

    @classmethod
    def decode(cls, value: dict[str, Any]) -> Self:
        """The recipe from the values of ``encode``."""
        return cls(**{**value, "constraints": tuple(value["constraints"]), "requires": tuple(value["requires"])})


def _plain(recipe: Recipe) -> dict[str, Any]:
    names = ("constraints", "requires", "default_backend", "environment", "uv_sources")
    return {name: getattr(recipe, name) for name in names}


PLAIN = Recipe()
