"""How a project's own tool would build: its configuration of builds, by the kind of the lock file.

    uv          [tool.uv] and uv.toml             config-settings, build constraints, extra build dependencies, …:
                                                  ``uv_build``
    Poetry      poetry.toml, its config.toml      installer.build-config-settings; build constraints: ``poetry_build``
    pip, Pipenv pip.conf, PIP_*                   config-settings, build-constraint: ``pip_build``

Which files may be used at all (``no-build``, ``no-binary``) is a matter of selection:
``storectl_store.selection.build_policy``.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from packaging.utils import NormalizedName

from storectl_daemon.building.recipe import ConfigSettings, DefaultBackend, Recipe
from storectl_daemon.errors import DaemonError
from storectl_store.selection.pin import LocalProject, SourcePin


class BuildOptionsError(DaemonError):
    """A configuration of builds that cannot be obeyed or understood; ``facts['path']`` if it is in a file."""

    default_code = "E_BUILD_OPTIONS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The names of some projects, or ``everything``."""

    everything: bool = False
    names: frozenset[NormalizedName] = frozenset()

    def __contains__(self, name: NormalizedName) -> bool:
        return self.everything or name in self.names


NOTHING = Names()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtraRequirement:
    """A build requirement that a configuration adds.

    With ``of_runtime`` its version is the one that the lock file selects.
    """

    text: str
    of_runtime: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """What a configuration says of builds. A mapping has a value for each project.

    ``files`` are the files that say it, besides those of the lock file. ``uv_sources`` is whether ``[tool.uv.sources]``
    of a local project counts for its build requirements. ``constraints`` hold for all builds, ``constraints_of`` for
    those of one project. ``unisolated`` are to be built in the project's own environment.
    """

    constraints: tuple[str, ...] = ()
    constraints_of: Mapping[NormalizedName, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    requires: Mapping[NormalizedName, tuple[ExtraRequirement, ...]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    variables: Mapping[NormalizedName, Mapping[str, str]] = field(default_factory=lambda: MappingProxyType({}))
    config_settings: ConfigSettings = field(default_factory=lambda: MappingProxyType({}))
    config_settings_of: Mapping[NormalizedName, ConfigSettings] = field(default_factory=lambda: MappingProxyType({}))
    unisolated: Names = NOTHING
    default_backend: DefaultBackend = "setuptools"
    uv_sources: bool = False
    files: tuple[Path, ...] = ()

    def recipe_of(
        self, item: SourcePin | LocalProject, versions: Mapping[NormalizedName, str], environment: Path | None = None
    ) -> Recipe:
        """How to build this one. What its line of a requirements file says replaces what holds for all.

        ``versions`` are those that the lock file selects; ``environment`` is for a build without isolation. Raises
        BuildOptionsError for an option that cannot be obeyed.
        """
        return Recipe(
            constraints=(*self.constraints, *self.constraints_of.get(item.name, ())),
            requires=tuple(_requirement(extra, versions) for extra in self.requires.get(item.name, ())),
            variables=self.variables.get(item.name, {}),
            config_settings=settings_of(item.config_settings)
            or merged(self.config_settings_of.get(item.name, {}), self.config_settings),
            default_backend=self.default_backend,
            environment=str(environment) if environment else None,
            uv_sources=self.uv_sources and isinstance(item, LocalProject),
        )


def merged(first: ConfigSettings, second: ConfigSettings) -> dict[str, str | list[str]]:
    """The settings of both. If a key is in both, its values become one list, as in uv."""
    found = {**second, **first}
    for key in first.keys() & second.keys():
        found[key] = [*_listed(first[key]), *_listed(second[key])]
    return found


def settings_of(texts: Iterable[str]) -> ConfigSettings:
    """The settings in texts ``key=value``; a key may come several times."""
    found: ConfigSettings = {}
    for text in texts:
        key, _, value = text.partition("=")
        found = merged(found, {key: value})
    return found


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _requirement(extra: ExtraRequirement, versions: Mapping[NormalizedName, str]) -> str:
    if not extra.of_runtime:
        return extra.text
    version = versions.get(NormalizedName(extra.text))
    if version is None:
        raise BuildOptionsError(
            f"`{extra.text}` is an extra build dependency with `match-runtime = true`, "
            "and is not in the lock file's selection",
            hint="make it a dependency of the project, or name its version",
            name=extra.text,
        )
    return f"{extra.text}=={version}"
