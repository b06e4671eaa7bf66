"""`activate` of a linked project in each shell, also in a folder whose name a shell could misread; `deactivate` restores."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.index import serve_index
from support.machine import Machine, new_machine
from support.project import write_project
from support.tools import to_be_made
from support.wheels import make_wheel

NAMES = ("shop", "it's my $shop")
SHOW = "import sys, alpha; print(sys.prefix)"
POSIX = f"""\
before=$PATH; PYTHONHOME=/nowhere; export PYTHONHOME; PS1='# '
. .venv/bin/activate
python -c '{SHOW}'
echo "$VIRTUAL_ENV"
deactivate
[ "$PATH" = "$before" ] && [ "$PYTHONHOME" = /nowhere ] && [ "$PS1" = '# ' ] && [ -z "${{VIRTUAL_ENV+x}}" ] && echo restored
"""
FISH = f"""\
set before "$PATH"; set -gx PYTHONHOME /nowhere
source .venv/bin/activate.fish
python -c '{SHOW}'
echo $VIRTUAL_ENV
deactivate
test "$PATH" = "$before"; and test $PYTHONHOME = /nowhere; and not set -q VIRTUAL_ENV; and echo restored
"""
CSH = f"""\
set before = "$PATH"; set prompt = '# '
source .venv/bin/activate.csh
python -c '{SHOW}'
echo "$VIRTUAL_ENV"
deactivate
if ("$PATH" == "$before" && ! $?VIRTUAL_ENV) echo restored
"""
NU = f"""\
overlay use .venv/bin/activate.nu
python -c '{SHOW}'
print $env.VIRTUAL_ENV
deactivate
print (if "VIRTUAL_ENV" in $env {{ "kept" }} else {{ "restored" }})
"""
SHELLS = {
    "sh": (("sh",), POSIX),
    "bash": (("bash", "--norc"), POSIX),
    "zsh": (("zsh", "-f"), POSIX),
    "fish": (("fish", "--no-config"), FISH),
    "tcsh": (("tcsh", "-f"), CSH),
    "nu": (("nu", "--no-config-file"), NU),
}


@pytest.fixture(scope="module")
def linked() -> Iterator[tuple[Machine, dict[str, Path]]]:
    with new_machine() as machine, serve_index() as index:
        folders = {}
        for name in NAMES:
            folders[name] = write_project(machine.home / name, index, [make_wheel("alpha")])
            machine.ok("link", cwd=folders[name])
        yield machine, folders


@pytest.fixture(scope="session")
def nu(run_folder: Path) -> Path:
    """Where a package of the npm registry has nushell."""
    if shutil.which("npm") is None:
        pytest.skip("there is no npm here")
    folder = run_folder / "nushell"
    with to_be_made(folder) as missing:
        if missing:
            command: list[str | Path] = [
                "npm",
                "install",
                "--silent",
                "--no-audit",
                "--no-fund",
                "--prefix",
                folder,
                "nushell",
            ]
            subprocess.run(command, check=True, capture_output=True)
    return folder / "node_modules/.bin"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shell", ["sh", "bash", "zsh", "fish", "tcsh", pytest.param("nu", marks=pytest.mark.network)])
def test_activating_is_as_in_a_venv(
    linked: tuple[Machine, dict[str, Path]], request: pytest.FixtureRequest, shell: str, name: str
) -> None:
    command, script = SHELLS[shell]
    machine, folders = linked
    path = machine.environ["PATH"]
    if shell == "nu":
        path = f"{request.getfixturevalue('nu')}:{path}"
    if shutil.which(command[0], path=path) is None:
        pytest.skip(f"there is no {shell} here")
    (folders[name] / "script").write_text(script)
    done = subprocess.run(
        [*command, "script"],
        cwd=folders[name],
        env=machine.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    front = str(folders[name] / ".venv")
    assert (done.stdout.splitlines(), done.stderr) == ([front, front, "restored"], "")
