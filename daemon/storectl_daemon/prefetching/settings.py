"""What is made ready after a ``git fetch``: the table ``[prefetch]`` of the user's settings, or STORECTL_PREFETCH.

    [prefetch]
    branches = "upstream"     what local branches follow, and what the fetch brought: if nothing is said
    branches = "all"          every branch of a remote, too; also `true`
    branches = "none"         nothing; also `false`

The variable has the same words, and wins over the file. It is the daemon's own.
"""

from collections.abc import Mapping
from typing import Literal

from storectl_daemon.process.settings import SettingsError
from storectl_daemon.process.user_settings import check_known, read_user_settings

Branches = Literal["none", "upstream", "all"]

TABLE, KEY, VARIABLE = "prefetch", "branches", "STORECTL_PREFETCH"
_WORDS: Mapping[str, Branches] = {
    "upstream": "upstream",
    "all": "all", "true": "all", "1": "all", "yes": "all", "on": "all",
    "none": "none", "false": "none", "0": "none", "no": "none", "off": "none",
}  # fmt: skip


def wanted_branches(environ: Mapping[str, str]) -> Branches:
    """What the user's settings, or these variables, say. Raises SettingsError for a value that cannot be used."""
    if environ.get(VARIABLE):
        return _branches(environ[VARIABLE], VARIABLE)
    file, settings = read_user_settings(environ)
    table = settings.get(TABLE, {})
    if not isinstance(table, dict):
        raise SettingsError(f"{file}: {TABLE} is no table", hint=f'write [{TABLE}] and {KEY} = "none"', variable=TABLE)
    check_known(table, (KEY,), where=f"[{TABLE}] in {file}")
    return _branches(table[KEY], f"{KEY} in [{TABLE}] of {file}") if KEY in table else "upstream"


def _branches(value: object, where: str) -> Branches:
    found = _WORDS.get(str(value).strip().lower())
    if found is None:
        raise SettingsError(f"{where} is {value!r}", hint='It is "upstream", "all" or "none".', variable=where)
    return found
