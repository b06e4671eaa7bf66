"""Which projects may be taken as wheels and which may be built, according to the settings of the project's own tool.

    uv        `no-binary`, `no-binary-package`, `no-build`, `no-build-package`; UV_NO_BINARY, …
    Poetry    `installer.no-binary`, `installer.only-binary`; POETRY_INSTALLER_NO_BINARY, …
    PDM       `no-binary`, `only-binary` of `[tool.pdm.resolution]`; PDM_NO_BINARY, …
    Pipenv    PIP_NO_BINARY, PIP_ONLY_BINARY, and `no_binary` of an entry of its lock file

They agree on what both rules mean together: a name in one of them counts more than ``:all:`` in the other.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from packaging.utils import NormalizedName

from storectl_store.errors import FormatRefusedError
from storectl_store.selection.pin import ANY_FORMAT, FileFormat

ALL, NONE = ":all:", ":none:"


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatRule:
    """One of the two rules. ``names`` are normalised names of projects, or ``:all:``.

    ``setting`` names the user's setting, in words for a message: ```no-build` of [tool.uv]``.
    """

    names: frozenset[str] = frozenset()
    setting: str = ""

    def forbids(self, name: NormalizedName, other: "FormatRule") -> bool:
        """Whether the rule applies to this project, and the ``other`` rule does not name it more exactly."""
        return name in self.names or (ALL in self.names and name not in other.names)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildPolicy:
    """``no_wheel`` names what is not taken as a wheel, ``no_build`` what is not built.

    The default allows everything.
    """

    no_wheel: FormatRule = FormatRule()
    no_build: FormatRule = FormatRule()

    def formats(self, name: NormalizedName) -> frozenset[FileFormat]:
        """The kinds of file of this project that may be used; empty if both rules apply to it."""
        refused: set[FileFormat] = set()
        if self.no_wheel.forbids(name, self.no_build):
            refused.add("wheel")
        if self.no_build.forbids(name, self.no_wheel):
            refused.add("sdist")
        return ANY_FORMAT - refused

    def settings_against(self, name: NormalizedName) -> str:
        """The settings that apply to this project, in words for a message; empty if none does."""
        allowed = self.formats(name)
        rules = ((self.no_wheel, "wheel"), (self.no_build, "sdist"))
        return " and ".join(rule.setting for rule, kind in rules if kind not in allowed)

    def check_build(self, name: NormalizedName, version: str | None, what: str) -> None:
        """Raise FormatRefusedError if the project may not be built.

        ``what`` says which source there is of it, such as *a folder*.
        """
        if "sdist" not in self.formats(name):
            raise format_refused(name, version, f"is {what}, which has to be built", self.settings_against(name))

    def check_wheel(self, name: NormalizedName, version: str | None) -> None:
        """Raise FormatRefusedError if the project may not be taken as the wheel that its lock file gives for it."""
        if "wheel" not in self.formats(name):
            raise format_refused(name, version, "is locked as a wheel by its address", self.settings_against(name))


ANYTHING = BuildPolicy()


def format_refused(name: NormalizedName, version: str | None, why: str, settings: str) -> FormatRefusedError:
    """The error for a project of which ``settings`` leave no file. ``why`` says which file there is."""
    return FormatRefusedError(
        f"`{name}` {version or ''}".rstrip() + f" {why}; {settings} refuses that",
        hint=f"change {settings}, or lock a version of which there is another file",
        name=name,
        version=version,
    )


def rule_for(names: Iterable[str], setting: str) -> FormatRule:
    """The rule for names that are normalised already, or ``:all:``. ``setting`` is dropped if there are no names."""
    found = frozenset(names)
    return FormatRule(names=found, setting=setting if found else "")
