"""The login in the address of a repository: given to git in variables, so that no command line and no file holds it.

git would put the address into the configuration of its clone, and on the command line of the program that speaks https. So
it gets the address without the login, and a credential helper for that host alone that says what is in two variables:

    GIT_CONFIG_COUNT=… GIT_CONFIG_KEY_0=credential.https://host.helper GIT_CONFIG_VALUE_0=
                       GIT_CONFIG_KEY_1=credential.https://host.helper GIT_CONFIG_VALUE_1=!f() { … }; f

The empty helper before it takes the user's own away for this host: git tells every helper what worked, and one that keeps
passwords in a file would write this one down. A user without a password is only told as ``credential.….username``: the user's
own helpers know the rest.
"""

from collections.abc import Iterator, Mapping
from urllib.parse import unquote, urlsplit

_USER, _PASSWORD = "STORECTL_GIT_USER", "STORECTL_GIT_PASSWORD"
_HELPER = f'!f() {{ test "$1" = get || exit 0; printf "username=%s\\npassword=%s\\n" "${_USER}" "${_PASSWORD}"; }}; f'


def login_variables(url: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that give git the login of this address, on top of what ``environ`` configures already."""
    parts = urlsplit(url)
    user, colon, password = parts.netloc.rpartition("@")[0].partition(":")
    if parts.scheme not in {"http", "https"} or not user:
        return {}
    host = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    if not colon:
        return dict(_configured(environ, [(f"credential.{host}.username", unquote(user))]))
    helper = f"credential.{host}.helper"
    login = {_USER: unquote(user), _PASSWORD: unquote(password)}
    return login | dict(_configured(environ, [(helper, ""), (helper, _HELPER)]))


def _configured(environ: Mapping[str, str], settings: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """The settings as variables, after those that are there."""
    text = environ.get("GIT_CONFIG_COUNT", "")
    first = int(text) if text.isdigit() else 0
    for number, (key, value) in enumerate(settings, first):
        yield f"GIT_CONFIG_KEY_{number}", key
        yield f"GIT_CONFIG_VALUE_{number}", value
    yield "GIT_CONFIG_COUNT", str(first + len(settings))
