"""How the store is collected: the table ``[collect]`` of the user's settings, and variables, which win over it.

    [collect]                      variable                           if nothing is said
    automatic = false              STORECTL_COLLECT_AUTOMATIC         true
    keep_days = 7                  STORECTL_COLLECT_KEEP_DAYS         30
    keep_generations = 3           STORECTL_COLLECT_KEEP_GENERATIONS  10
    grace = 600                    STORECTL_COLLECT_GRACE             3600 seconds; at least 60
    max_size = "20G"               STORECTL_COLLECT_MAX_SIZE          no limit; "" is none, too

The variables that count are those of the command that asks; for a collect that nobody asked for, the daemon's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from storectl_daemon.collecting.gathering import Keep
from storectl_daemon.process.settings import SettingsError
from storectl_daemon.process.user_settings import check_known, read_user_settings
from storectl_shim.sizes import parse_size

TABLE = "collect"
LEAST_GRACE_S = 60.0
TESTS = "STORECTL_COLLECT_ANY_GRACE"
"""With this variable the grace may be shorter: tests cannot wait for an hour."""

_ON = ("1", "true", "yes", "on")
_OFF = ("0", "false", "no", "off")


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectSettings:
    """``grace`` is in seconds: nothing is taken that was published within it. ``max_size`` is in bytes."""

    automatic: bool = True
    keep_days: float = 30.0
    keep_generations: int = 10
    grace: float = 3600.0
    max_size: int | None = None

    @property
    def keep(self) -> Keep:
        """What is kept beyond what is current."""
        return Keep(days=self.keep_days, generations=self.keep_generations)

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """The settings of the user and of these variables. Raises SettingsError if one of them cannot be used."""
        file, table = read_user_settings(environ)
        said = table.get(TABLE, {})
        if not isinstance(said, dict):
            raise SettingsError(f"{file}: {TABLE} is no table", hint=f"write [{TABLE}]", variable=TABLE)
        check_known(said, _READERS, where=f"[{TABLE}] in {file}")
        values = {name: _read(name, value, f"{name} in [{TABLE}] of {file}") for name, value in said.items()}
        for name in _READERS:
            variable = f"STORECTL_COLLECT_{name.upper()}"
            if environ.get(variable):
                values[name] = _read(name, environ[variable], variable)
        settings = cls(**values)
        if settings.grace < LEAST_GRACE_S and not environ.get(TESTS):
            raise SettingsError(
                f"a grace of {settings.grace:g} s is too short: a program may be about to start",
                hint=f"at least {LEAST_GRACE_S:g}",
                variable="grace",
            )
        return settings

    def asked(
        self, *, keep_days: float | None = None, keep_generations: int | None = None, max_size: int | None = None
    ) -> Self:
        """The settings with what a command says, where it says something."""
        said = {"keep_days": keep_days, "keep_generations": keep_generations, "max_size": max_size}
        return replace(self, **{name: value for name, value in said.items() if value is not None})  # type: ignore[arg-type]


def _switch(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in (*_ON, *_OFF):
        return value.lower() in _ON
    raise ValueError("true or false")


def _number(value: object) -> float:
    with_fraction = isinstance(value, int | float | str) and not isinstance(value, bool)
    try:
        number = float(value) if with_fraction else -1.0  # type: ignore[arg-type]
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise ValueError("a number that is not negative")
    return number


def _count(value: object) -> int:
    number = _number(value)
    if number != int(number):
        raise ValueError("a whole number that is not negative")
    return int(number)


def _size(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError('a size such as "20G"')  # noqa: TRY004 - what reads it makes one error of all
    try:
        return parse_size(str(value)) if value != "" else None
    except ValueError:
        raise ValueError('a size such as "20G"') from None


_READERS: Mapping[str, Callable[[object], Any]] = {
    "automatic": _switch,
    "keep_days": _number,
    "keep_generations": _count,
    "grace": _number,
    "max_size": _size,
}


def _read(name: str, value: object, where: str) -> Any:
    try:
        return _READERS[name](value)
    except ValueError as error:
        raise SettingsError(f"{where} is {value!r}", hint=f"It is {error}.", variable=name) from None
