"""Which kinds of files a tool's configuration lets be used: uv's ``no-build`` and ``no-binary``, and their like.

    no-build, no-build-package        nothing is built: wheels only       (pip, Poetry, PDM: only-binary)
    no-binary, no-binary-package      all is built: no wheels             (pip, Poetry, PDM: no-binary)

A project that is named for both can neither be built nor be taken as it is.
"""

from dataclasses import dataclass

from packaging.utils import NormalizedName

from storectl_store.errors import NoWheelError
from storectl_store.selection.pin import FileFormat, IndexPin, Pin, SourcePin


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Some projects, or ``everything``. ``option`` is what says so, for people."""

    everything: bool = False
    names: frozenset[NormalizedName] = frozenset()
    option: str = ""

    def __contains__(self, name: NormalizedName) -> bool:
        return self.everything or name in self.names


NOTHING = Names()


@dataclass(frozen=True, slots=True, kw_only=True)
class Formats:
    """``wheels_only`` are never built, ``sources_only`` always are."""

    wheels_only: Names = NOTHING
    sources_only: Names = NOTHING

    def of(self, name: NormalizedName) -> frozenset[FileFormat]:
        """What may be used of this project."""
        excluded: dict[FileFormat, Names] = {"wheel": self.sources_only, "sdist": self.wheels_only}
        return frozenset(kind for kind, names in excluded.items() if name not in names)

    def of_pin(self, pin: IndexPin) -> frozenset[FileFormat]:
        """What may be used of a pin, which may have been narrowed already by its lock file."""
        return pin.formats & self.of(pin.name)

    def check(self, item: Pin | SourcePin) -> None:
        """NoWheelError, naming the option, for a file of a kind that must not be used."""
        kind: FileFormat = "wheel" if isinstance(item, Pin) else "sdist"
        if kind not in self.of(item.name):
            raise self.refusal(item.name, item.version)

    def refusal(self, name: NormalizedName, version: str | None) -> NoWheelError:
        """Why nothing that there is may be used."""
        label = f"`{name}` {version}" if version else f"`{name}`"
        build, binary = self.wheels_only.option, self.sources_only.option
        if name in self.wheels_only and name in self.sources_only:
            what, hint = f"is marked as both `{build}` and `{binary}`", f"take it out of `{build}` or `{binary}`"
        elif name in self.wheels_only:
            what = f"has no wheel that fits, and `{build}` says that it must not be built"
            hint = f"take it out of `{build}`, or lock a version that has a wheel"
        else:
            what = f"has no source distribution, and `{binary}` says that its wheels must not be used"
            hint = f"take it out of `{binary}`, or lock a version that has a source distribution"
        return NoWheelError(f"{label} {what}", hint=hint, name=name, version=version or "")


ANY_FORMATS = Formats()
