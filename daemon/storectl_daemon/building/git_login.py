"""The login in a repository's address: given to git in variables, so that no command line and no file holds it.

git would write the address into the configuration of its clone, and put it on the command line of the program that
speaks https. So git gets the address without the login, and for that host alone a credential helper that prints the
login from two variables:

    GIT_CONFIG_COUNT=… GIT_CONFIG_KEY_0=credential.https://host.helper GIT_CONFIG_VALUE_0=
                       GIT_CONFIG_KEY_1=credential.https://host.helper GIT_CONFIG_VALUE_1=!f() { … }; f

The empty helper before it removes the user's own helpers for this host: git tells every helper which login worked, and
one that keeps passwords in a file would write this one down. If the address has a user without a password, git is only
told ``credential.….username``: the user's own helpers know the password.
"""

from collections.abc import Iterator, Mapping
from urllib.parse import unquote, urlsplit

_USER, _PASSWORD = "STORECTL_GIT_USER", "STORECTL_GIT_PASSWORD"
_HELPER = f'!f() {{ test "$1" = get || exit 0; printf "username=%s\\npassword=%s\\n" "${_USER}" "${_PASSWORD}"; }}; f'


def login_variables(url: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that give git the login of this address, added to the configuration that ``environ`` has."""
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
    """The settings as variables, numbered after those that ``environ`` has already."""
    text = environ.get("GIT_CONFIG_COUNT", "")
    first = int(text) if text.isdigit() else 0
    for number, (key, value) in enumerate(settings, first):
        yield f"GIT_CONFIG_KEY_{number}", key
        yield f"GIT_CONFIG_VALUE_{number}", value
    yield "GIT_CONFIG_COUNT", str(first + len(settings))
