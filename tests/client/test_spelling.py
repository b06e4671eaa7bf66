"""The spelling of a command line: what the launcher reads of `storectl run` without Python."""

import random

import pytest

from storectl.errors import UsageError
from storectl.run_arguments import Kind, RunRequest, parse_run
from storectl.run_options import BY_NAME, OPTIONS
from storectl.shortcuts import ENVIRONMENT, LIMIT, NO_WORD, TOGETHER_ODD, WORDS, spelling_of


def spelled(*arguments: str, **environ: str) -> str | None:
    found = spelling_of([*arguments], environ)
    return found.spelling if found is not None else None


@pytest.mark.parametrize(
    ("arguments", "spelling"),
    [
        ("", "plain"),
        ("show.py -p 3.9", "plain"),
        ("-p 3.11 show.py", "python=3.11"),
        ("-p3.11 show.py", "python=3.11"),
        ("-p=3.11 show.py", "python=3.11"),
        ("--python=3.11 show.py", "python=3.11"),
        ("--extra b --extra a --group=dev pytest", "extras=b+extras=a+groups=dev"),
        ("--no-dev --all-extras --offline --frozen -q --color always pytest", "no_dev+all_extras"),
        ("--with six -w idna==3.10,rich show.py", "requirements=six+requirements=idna==3.10,rich"),
        ("--offline --no-sync --no-progress -- pytest", "plain"),
        ("-p 3.11 -u -X dev show.py", "python=3.11"),
    ],
)
def test_options_have_words_in_their_order(arguments: str, spelling: str) -> None:
    assert spelled(*arguments.split()) == spelling


@pytest.mark.parametrize(
    "arguments",
    [
        "-p 3.11 -p 3.12 show.py",  # under several
        "-p ./python show.py",  # a path depends on the current folder
        "-p",
        "--extra= show.py",
        "--with six>1 show.py",
        "--with ./six show.py",
        "--lock x/uv.lock show.py",
        "--project x show.py",
        "--directory x show.py",
        "--env-file x show.py",
        "--index http://x show.py",
        "-i http://x show.py",
        "-v show.py",
        "-s show",
        "--module show",
        "-h",
        "-u -h",
        "-u -p 3.11 show.py",  # ours after one of Python's
        "-m -p 3.11 show",
        "-m",
        "--",
        "-- -odd",
        "-u -- show.py",
        "-e a -e b show.py",
        "-e a/b show.py",
        "--locked --frozen show.py",
        "--offline=yes show.py",
        "--no-such-option show.py",
        f"--extra {'a' * LIMIT} show.py",
    ],
)
def test_an_odd_command_line_has_no_spelling(arguments: str) -> None:
    assert spelled(*arguments.split()) is None


def test_variables_have_words_behind_those_of_the_arguments() -> None:
    variables = {"STORECTL_GROUPS": "b,c", "STORECTL_PYTHON": "3.12", "UV_PYTHON": "", "UV_OFFLINE": "1"}
    assert spelled("--extra", "a", "show.py", **variables) == "extras=a+STORECTL_PYTHON=3.12+STORECTL_GROUPS=b,c"
    assert spelled("show.py", STORECTL_GROUPS="b c") is None
    assert spelled("show.py", UV_PROJECT="x") is None


def test_a_named_environment_is_no_part_of_the_spelling() -> None:
    variable = {"STORECTL_ENV": "data"}
    for arguments, environ, name in (
        (["-e", "tools", "x.py"], {}, "tools"),
        (["-etools", "x.py"], variable, "tools"),
        (["x.py"], variable, "data"),
    ):
        found = spelling_of(arguments, environ)
        assert found is not None
        assert (found.spelling, found.environment) == ("plain", name)


def test_every_name_of_a_kind_of_option_is_one_of_an_option() -> None:
    assert {option.sets for option in OPTIONS} >= WORDS | NO_WORD | TOGETHER_ODD | {ENVIRONMENT}


def test_what_has_a_spelling_is_read_by_run_in_the_same_way() -> None:
    chosen = random.Random(19)
    both = 0
    for _ in range(6_000):
        arguments = [chosen.choice(_ARGUMENTS) for _ in range(chosen.randint(0, 5))]
        environ = {name: chosen.choice(values) for name, values in _VARIABLES.items() if chosen.random() < 0.1}
        found, request = spelling_of(arguments, environ), _request(arguments, environ)
        if found is None or request is None:
            continue
        both += 1
        assert arguments[found.begin :] == [*request.interpreter_options, *request.arguments]
        assert arguments[found.program :] == [*request.arguments]
        assert request.environment == found.environment
        assert _chooses_nothing_else(request), arguments
    assert both > 1_000


def _request(arguments: list[str], environ: dict[str, str]) -> RunRequest | None:
    try:
        return parse_run(arguments, environ)
    except UsageError:
        return None


def _chooses_nothing_else(request: RunRequest) -> bool:
    files = any(text.startswith("-r ") for text in request.requirements)
    more = files or request.project or request.no_project or request.env_files or request.refresh
    other = request.script or request.parallel or request.options.lock_file or len(request.choices) > 1
    hushed = set(request.variables) <= {"STORECTL_QUIET", "UV_NO_PROGRESS"}
    return not more and not other and hushed and request.kind != Kind.HELP


_ARGUMENTS = [
    *BY_NAME, "-u", "-X", "dev", "-Xdev", "-W", "error", "-I", "-O", "-Im", "-sm", "-mfoo", "-m", "-c", "-", "--",
    "show.py", "pytest", "x/y.py", "3.11", "-p3.11", "-p=3.12", "--python=3.9", "--extra=a", "--group=b,c", "", "-qu",
    "--offline=x", "-qq", "-vv", "-i", "http://x", "--version", "-h", "--help", "--check-hash-based-pycs", "-edata",
    "--env=data", "--color=always", "-p", "--extra", "-e", "--no-such", "-m", "show.py", "3.11", "a", "-p", "--group",
]  # fmt: skip
_VARIABLES = {
    "STORECTL_PYTHON": ["3.11", ""],
    "STORECTL_EXTRAS": ["a", "a b"],
    "UV_DEV": ["1", "0"],
    "STORECTL_ENV": ["data", "a b"],
    "UV_PROJECT": ["x", ""],
    "STORECTL_OFFLINE": ["1"],
}
