"""The launcher and the command line in Python read command lines in the same way.

The launcher's own functions read thousands of them in one shell, those for the plainest start among them.
"""

import random
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence

import pytest

from storectl.run_arguments import INTERPRETER_FLAGS, INTERPRETER_LONG
from storectl.run_options import BY_NAME
from storectl.shortcuts import ODD_VARIABLES, PLAIN, VARIABLES, spelling_of, spelling_of_tool
from storectl.tool_arguments import TOOL_BY_NAME
from support.client_project import LAUNCHER
from support.launcher_options import launcher_text

SHELLS = [[shell, *more] for shell, more in (("dash", ()), ("bash", ("--posix",)), ("zsh", ("--emulate", "sh"))) if shutil.which(shell)]  # fmt: skip
Line = tuple[tuple[str, ...], Mapping[str, str]]
"""Arguments, and variables."""

SLOW = "slow"
NAMES = ("STORECTL_ENV", "STORECTL_OFFLINE", *VARIABLES, *ODD_VARIABLES)
VALUES = (
    "3.11",
    "a",
    "a,b",
    "no_dev",
    "a b",
    "a+b",
    "x/y",
    "ü",
    "",
    "-x",
    "*",
    "--",
    "2=2",
    "A_1.0-rc",
    "x" * 90,
    "a=:",
)
PROGRAMS = (
    "show.py",
    "pytest",
    "x/y.py",
    "-m",
    "-c",
    "-",
    "--",
    "a b",
    "",
    "-Im",
    "-uc",
    "-mx",
    "ruff@1.2",
    "..",
    "-m",
    "ü",
)
COMMON = (
    "-p", "--python", "--extra", "--all-extras", "--group", "--no-group", "--dev", "--no-dev", "--package", "-e", "--env",
    "--locked", "--frozen", "--offline", "-q", "--no-progress", "--no-sync", "--color", "-n", "--from", "-w", "--with",
)  # fmt: skip
_SINGLE = """
-u -Xdev -W -I -O -sm -qu -qq -vv -vvv -sB -i -h --help --check-hash-based-pycs
--no-such --offline=x --no-such=1 -é -? -BX -n -s
"""
MORE = [
    *(["-X", "dev"], ["-W", "error"], ["-i", "http://x"], ["-u", "--"], ["-u", "-m"], ["--check-hash-based-pycs", "x"]),
    *([each] for each in (*_SINGLE.split(), *INTERPRETER_LONG)),
]
LONG = [("run", "--extra", "x" * length, "--dev", "x.py") for length in range(180, 200)]


def test_the_options_in_the_launcher_are_those_of_the_command_line() -> None:
    assert LAUNCHER.read_text() == launcher_text(), "they are made anew by scripts/pages"
    flags = re.search(r"%%\[!([^]]*)\]\*", LAUNCHER.read_text())
    assert flags is not None
    assert flags[1] == INTERPRETER_FLAGS


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
def test_a_command_line_is_read_as_in_python(shell: list[str]) -> None:
    chosen = random.Random(50)
    lines = [*(line(chosen, "run") for _ in range(8_000)), *(line(chosen, "tool", "run") for _ in range(2_000))]
    lines += [(arguments, {}) for arguments in LONG]
    expected = [spelled(*each) for each in lines]
    assert sum(each != SLOW for each in expected) > 2_000
    different = [found for found in zip(lines, expected, read(shell, lines), strict=True) if found[1] != found[2]]
    assert different == []


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
def test_the_plainest_start_is_one_for_python_too(shell: list[str]) -> None:
    chosen = random.Random(51)
    lines = [line(chosen, "run", most=1) for _ in range(3_000)]
    found = read(shell, lines, function="plain")
    assert sum(each != SLOW for each in found) > 300
    for (arguments, environ), plain in zip(lines, found, strict=True):
        if plain != SLOW:
            spelling = spelling_of([*arguments[1:]], environ)
            assert spelling is not None, arguments
            assert (spelling.spelling, spelling.environment, spelling.program) == (PLAIN, None, 0), arguments
            program = named(arguments[1:], 0)
            command = "-" if "/" in program else "python" if program == "-" or program.endswith(".py") else program
            assert plain == f"{command} {program}"


def line(chosen: random.Random, *command: str, most: int = 5) -> Line:
    """A command line, of parts that are options with and without a value, programs, and anything."""
    names = [*(TOOL_BY_NAME if command[0] == "tool" else BY_NAME)]
    parts: list[str] = []
    for _ in range(chosen.randrange(most)):
        name = chosen.choice(names) if chosen.random() < 0.2 else chosen.choice([n for n in COMMON if n in names])
        value = chosen.choice(VALUES) if chosen.random() < 0.2 else chosen.choice(VALUES[:3])
        takes = (TOOL_BY_NAME if command[0] == "tool" else BY_NAME)[name].takes is not None
        usual = chosen.choice(([name, value], [f"{name}={value}"], [f"{name}{value}"])) if takes else [name]
        odd = ([name], [name, value], [f"{name}={value}"], [*chosen.choice(MORE)], [cluster(chosen)])
        parts += usual if chosen.random() < 0.75 else chosen.choice(odd)
    parts += [chosen.choice((*PROGRAMS, *PROGRAMS[:3])) for _ in range(chosen.choice((0, 1, 1, 1, 2)))]
    parts += [chosen.choice((*names, *VALUES)) for _ in range(chosen.randrange(2))]
    return (*command, *parts), variables(chosen) if chosen.random() < 0.4 else {}


def variables(chosen: random.Random) -> Mapping[str, str]:
    likely = {name: 0.02 if name in ODD_VARIABLES else 0.2 for name in NAMES}
    found = [name for name in NAMES if chosen.random() < likely[name]]
    return {name: chosen.choice(VALUES if chosen.random() < 0.1 else (*VALUES[:3], "1")) for name in found}


def cluster(chosen: random.Random) -> str:
    return "-" + "".join(chosen.choice(INTERPRETER_FLAGS + "mcWXpnewfhz3=") for _ in range(chosen.randint(1, 4)))


def spelled(arguments: Sequence[str], environ: Mapping[str, str]) -> str:
    """What Python reads: the spelling, the name of the environment, where the rest begins, and where the program is."""
    if arguments[0] == "tool":
        tool = spelling_of_tool([*arguments[2:]], environ)
        if tool is None or not tool.name[0].isalnum():  # no tool is named like this
            return SLOW
        return f"{tool.spelling} - {tool.begin + 2} {tool.begin + 2} {tool.name}"
    run = spelling_of([*arguments[1:]], environ)
    if run is None:
        return SLOW
    program = named(arguments[1:], run.program)
    return f"{run.spelling} {run.environment or '-'} {run.begin + 1} {run.program + 1} {program}"


def named(arguments: Sequence[str], program: int) -> str:
    """The name of the program at this index; - if it is Python itself."""
    name = arguments[program] if program < len(arguments) else "-"
    return name if not name.startswith("-") else "-"


def read(shell: Sequence[str], lines: Sequence[Line], function: str = "read") -> list[str]:
    """What the launcher reads in each line."""
    done = subprocess.run(
        [*shell, "-s"], input="\n".join([*harness(), *calls(function, lines), ""]), env={"LC_ALL": "C.UTF-8"}, capture_output=True,
        text=True, check=True, encoding="utf-8",
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.removesuffix("\n").split("\n")


def harness() -> Iterator[str]:
    """The functions of the launcher, and its lines about the plainest start as one more."""
    text = LAUNCHER.read_text()
    yield from re.findall(r"(?ms)^_storectl_\w+\(\) \{\n.*?^\}\n", text)
    begin, end = text.index("_storectl_odd="), text.index("case ${0##*/}:${HOME-}")
    shown = (
        f'if [ "$_storectl_words" ]; then echo "${{_storectl_command:--}} ${{_storectl_word:--}}"; else echo {SLOW}; fi'
    )
    yield f"plain() {{\n_storectl_command=\n{text[begin:end]}\n{shown}\n}}"
    variables = "".join(re.findall(r"(?m)^_storectl_odd=.*\n", text))
    yield f"""read_line() {{
        {variables}
        if _storectl_read "$@"; then
            echo "$_storectl_words ${{_storectl_named:--}} $_storectl_skip $((_storectl_skip + _storectl_before)) ${{_storectl_word:--}}"
        else
            echo {SLOW}
        fi
    }}"""


def calls(function: str, lines: Sequence[Line]) -> Iterator[str]:
    function = "read_line" if function == "read" else function
    unset = f"unset {' '.join(NAMES)}"
    for arguments, environ in lines:
        assigned = "; ".join([unset, *(f"{name}={shlex.quote(value)}" for name, value in environ.items())])
        yield f"{assigned}; {function} {shlex.join(arguments)}"
