"""Secrets: texts that a build needs, but that must be in no log, no message, no record and no command line.

They come from the logins in addresses, and from variables whose names say that they are secrets.
"""

import re
from collections.abc import Iterable, Mapping
from urllib.parse import unquote, urlsplit

LEFT_OUT = "****"
_LEAST = 4
"""The length of the shortest secret. A log without every ``a``, for example, would be useless."""

_IS_SECRET = re.compile(r"(PASSWORD|PASSWD|PASSPHRASE|TOKEN|SECRET|API_?KEY|ACCESS_?KEY|CREDENTIAL)", re.IGNORECASE)
_LOGIN = re.compile(r"(?<=://)[^/@\s]+@")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://[^/@\s]+@[^\s'\"]*", re.IGNORECASE)


def secrets_of(environ: Mapping[str, str], texts: Iterable[str] = ()) -> tuple[str, ...]:
    """Every secret in these variables and texts, longest first, because a shorter one may be part of a longer."""
    found = {value for name, value in environ.items() if _IS_SECRET.search(name) and len(value) >= _LEAST}
    for text in (*environ.values(), *texts):
        if "@" in text:
            found.update(_in_addresses(text))
    return tuple(sorted(found, key=lambda text: (-len(text), text)))


def _in_addresses(text: str) -> set[str]:
    """The passwords in the addresses of a text, as written and decoded. A user without a password may be a token."""
    found: set[str] = set()
    for match in _ADDRESS.finditer(text):
        user, colon, password = urlsplit(match[0]).netloc.rpartition("@")[0].partition(":")
        if match[0].lower().startswith(("http", "git+http")) or colon:
            secret = password or user
            found.update(word for word in (secret, unquote(secret)) if len(word) >= _LEAST)
    return found


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """The text without these secrets, and without logins in addresses."""
    for secret in secrets:
        text = text.replace(secret, LEFT_OUT)
    return _LOGIN.sub("", text)
