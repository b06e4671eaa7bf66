"""Variables of builds: what they see, what is noted, what counts; and what must never be told."""

import subprocess
import sys
from pathlib import Path

import pytest
from packaging.utils import NormalizedName

from storectl_daemon.building import observer
from storectl_daemon.building.git_login import login_variables
from storectl_daemon.building.pip_variables import LockedPlaces, locked_places, pip_variables
from storectl_daemon.building.secrets import secrets_of, without_secrets
from storectl_daemon.building.variables import build_environ, counted, may_count
from storectl_daemon.indexes.configuration import IndexSettings
from storectl_daemon.network.address import Address
from storectl_store.selection.pin import IndexPin
from support.machine import pyenv_python

PYTHONS = [python for version in ("3.9", "3.13") if (python := pyenv_python(version))] or [sys.executable]
LOOKS = """
import os, sys
exec(open(sys.argv[1]).read(), {"NOTES": sys.argv[2]})
{statement}
"""


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(
    ("statement", "names"),
    [
        ("os.environ.get('A'); os.getenv('B'); 'C' in os.environ; os.getenvb(b'D')", {"A", "B", "C", "D"}),
        ("os.environ.setdefault('A', '1'); os.environ.pop('B', None)", {"A", "B"}),
        ("try: os.environ['A']\nexcept KeyError: pass", {"A"}),
        ("dict(os.environ), {**os.environ}, os.environ.copy(), list(os.environ.items())", set()),
        ("list(os.environ), list(os.environ.values()), os.environ | {}", set()),
        ("[os.environ.get('A') for name in os.environ]", {"A"}),
        ("import subprocess; subprocess.run([sys.executable, '-c', ''], env={**os.environ, 'A': ''})", {"PATH"}),
    ],
)
def test_what_is_looked_up_is_noted_and_what_is_handed_on_is_not(
    tmp_path: Path, python: str, statement: str, names: set[str]
) -> None:
    notes = tmp_path / "notes"
    program = LOOKS.replace("{statement}", statement)
    environ = {"PATH": "/usr/bin:/bin", "OTHER": "1", "MORE": "2"}
    subprocess.run([python, "-c", program, observer.__file__, str(notes)], env=environ, check=True)
    found = set(notes.read_text().split()) if notes.exists() else set()
    assert found - {"PATH"} == names - {"PATH"}


def test_a_child_of_a_build_that_is_python_notes_for_itself(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    program = f"import os\nexec(open({observer.__file__!r}).read(), {{'NOTES': {str(notes)!r}}})\nos.environ.get(@)"
    for name in ("A", "B", "A"):
        subprocess.run([sys.executable, "-c", program.replace("@", repr(name))], check=True)
    assert notes.read_text().split() == ["A", "B", "A"]


@pytest.mark.parametrize(
    "name", ["GIT_DIR", "GIT_INDEX_FILE", "PYTHONPATH", "PYTHONINSPECT", "PIP_TARGET", "STORECTL_STORE"]
)
def test_what_is_meant_for_others_is_left_out(name: str) -> None:
    assert build_environ({name: "1", "DEMO": "2"}) == {"DEMO": "2"}


@pytest.mark.parametrize(
    "name", ["GIT_SSH_COMMAND", "GIT_COMMIT", "GIT_CONFIG_COUNT", "PYTHONHASHSEED", "UV_INDEX", "PIP_CACHE_DIR"]
)
def test_what_a_build_may_want_stays(name: str) -> None:
    assert name in build_environ({name: "1"})


def test_what_every_shell_has_another_value_of_counts_for_nothing() -> None:
    noise = (
        "PATH",
        "HOME",
        "TERM",
        "LC_ALL",
        "SSH_AUTH_SOCK",
        "XDG_RUNTIME_DIR",
        "https_proxy",
        "GIT_DIR",
        "PIP_INDEX_URL",
    )
    assert not [name for name in noise if may_count(name)]
    assert counted(["DEMO", "PATH", "a b"], {"CFLAGS": "", "CMAKE_ARGS": "", "LC_ALL": ""}) == {
        "DEMO",
        "CFLAGS",
        "CMAKE_ARGS",
    }


def test_passwords_are_found_in_addresses_and_in_variables_that_say_so() -> None:
    environ = {
        "A_TOKEN": "tok-en",
        "INDEX": "https://ann:p%40ss@host/simple https://user-token@host/",
        "PLAIN": "plain-text",
    }
    found = secrets_of(environ, ["git+https://bob:second@host/x"])
    assert set(found) == {"tok-en", "p%40ss", "p@ss", "user-token", "second"}
    text = "tok-en p@ss https://ann:p%40ss@host/simple plain-text ssh://git@host/x"
    assert without_secrets(text, found) == "**** **** https://host/simple plain-text ssh://host/x"


def test_a_secret_is_left_out_whole_though_another_is_a_part_of_it() -> None:
    found = secrets_of({"A_TOKEN": "secret", "B_TOKEN": "secret-and-more"})
    assert without_secrets("secret-and-more, secret", found) == "****, ****"


def test_git_is_told_a_login_after_what_is_configured_already() -> None:
    told = login_variables("https://ann:p%40ss@host:8443/x.git", {"GIT_CONFIG_COUNT": "1"})
    assert told["GIT_CONFIG_COUNT"] == "3"
    assert told["GIT_CONFIG_KEY_1"] == told["GIT_CONFIG_KEY_2"] == "credential.https://host:8443.helper"
    assert told["GIT_CONFIG_VALUE_1"] == ""
    assert told["STORECTL_GIT_PASSWORD"] == "p@ss"
    assert not [value for name, value in told.items() if "p@ss" in value and name != "STORECTL_GIT_PASSWORD"]


def test_a_user_without_a_password_leaves_the_helpers_of_the_user() -> None:
    told = login_variables("https://ann@host/x.git", {})
    assert told == {
        "GIT_CONFIG_KEY_0": "credential.https://host.username",
        "GIT_CONFIG_VALUE_0": "ann",
        "GIT_CONFIG_COUNT": "1",
    }
    assert login_variables("ssh://git@host/x.git", {}) == login_variables("https://host/x.git", {}) == {}


def index_pin(name: str, *, exclusive: bool, indexes: tuple[str, ...] = ()) -> IndexPin:
    return IndexPin(name=NormalizedName(name), version="1", digests=frozenset(), indexes=indexes, exclusive=exclusive)


def test_indexes_of_a_lock_file_take_the_place_of_those_of_the_user() -> None:
    settings = IndexSettings(
        indexes=(Address("https://public/simple"),), logins=(Address("https://ann:word@private/simple/"),)
    )
    only = locked_places([index_pin("a", exclusive=True, indexes=("https://private/simple",))])
    told = pip_variables(settings, only)
    assert told["PIP_INDEX_URL"] == "https://ann:word@private/simple"
    assert "PIP_EXTRA_INDEX_URL" not in told
    both = locked_places([*(index_pin(name, exclusive=False) for name in "bc"), index_pin("a", exclusive=True)])
    assert pip_variables(settings, both)["PIP_INDEX_URL"] == "https://public/simple"
    assert pip_variables(IndexSettings(indexes=()), LockedPlaces())["PIP_NO_INDEX"] == "1"
