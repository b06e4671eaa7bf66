"""Where our options end and the program's begin."""

import os
from pathlib import Path

import pytest

from storectl.errors import UsageError
from storectl.run_arguments import Kind, parse_run


@pytest.mark.parametrize(
    ("arguments", "interpreter_options", "rest"),
    [
        ([], (), ()),
        (["-"], (), ("-",)),
        (["-", "-p"], (), ("-", "-p")),
        (["-m", "mod", "--extra", "x"], (), ("-m", "mod", "--extra", "x")),
        (["-c", "pass", "-p", "3.9"], (), ("-c", "pass", "-p", "3.9")),
        (["-cpass", "-h"], (), ("-cpass", "-h")),
        (["-Im", "mod", "-h"], (), ("-Im", "mod", "-h")),
        (["-X", "dev", "-W", "error", "-m", "mod"], ("-X", "dev", "-W", "error"), ("-m", "mod")),
        (["-Xdev", "-OO", "-uBm", "mod"], ("-Xdev", "-OO"), ("-uBm", "mod")),
        (["-i"], ("-i",), ()),
        (["-IX", "dev", "-"], ("-IX", "dev"), ("-",)),
        (["-Wm", "-m", "mod"], ("-Wm",), ("-m", "mod")),
        (["--check-hash-based-pycs", "always", "-m", "x"], ("--check-hash-based-pycs", "always"), ("-m", "x")),
    ],
)
def test_python_s_own_options_pass_through(
    arguments: list[str], interpreter_options: tuple[str, ...], rest: tuple[str, ...]
) -> None:
    request = parse_run(arguments, {})
    assert request.kind is Kind.INTERPRETER
    assert (request.interpreter_options, request.arguments) == (interpreter_options, rest)
    assert request.options.key == "default"


@pytest.mark.parametrize("name", ["script.py", "pytest", "./a/b", "folder"])
def test_everything_after_the_program_is_its_own(name: str) -> None:
    own = ("-p", "3.9", "--extra", "x", "--", "-m", "-h", "--lock=x")
    request = parse_run(["-O", name, *own], {})
    assert (request.kind, request.interpreter_options, request.arguments) == (Kind.NAMED, ("-O",), (name, *own))
    assert request.options.key == "default"


def test_our_options_are_taken_in_every_spelling(tmp_path: Path) -> None:
    lock = os.path.realpath(tmp_path / "uv.lock")
    long = ["--python=3.12", "--extra", "b", "--extra=a", "--group", "g", "--no-default-groups", f"--lock={lock}"]
    request = parse_run([*long, "--project", "there", "-u", "x.py"], {})
    options = request.options
    assert (options.python, options.extras, options.groups) == ("3.12", ("a", "b"), ("g",))
    assert (options.default_groups, options.lock_file, request.project) == (False, lock, "there")
    assert request.interpreter_options == ("-u",)
    for spelling in (["-p", "3.12"], ["-p3.12"], ["--python", "3.12"]):
        assert parse_run([*spelling, "x.py"], {}).options.python == "3.12"


@pytest.mark.parametrize("name", ["-dash", "-c", "-m", "--extra", "-O", "--", "x.py"])
def test_a_double_dash_ends_all_options(name: str) -> None:
    request = parse_run(["-p", "3.12", "-O", "--", name, "-c", "--extra"], {})
    assert (request.kind, request.interpreter_options) == (Kind.NAMED, ("-O",))
    assert request.arguments == (name, "-c", "--extra")
    assert request.options.python == "3.12"


def test_standard_input_and_nothing_at_all_may_follow_a_double_dash() -> None:
    for arguments in ([], ["-"], ["-", "-c"]):
        request = parse_run(["--", *arguments], {})
        assert (request.kind, request.arguments) == (Kind.INTERPRETER, tuple(arguments))


def test_what_begins_with_a_dash_by_mistake_is_told_of_the_double_dash() -> None:
    with pytest.raises(UsageError) as caught:
        parse_run(["-dash"], {})
    assert "-- before a name" in str(caught.value.hint)


def test_a_relative_interpreter_and_lock_file_are_made_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real" / "uv.lock").symlink_to("other.lock")
    monkeypatch.chdir(tmp_path)
    options = parse_run(["-p", "./python", "--lock", "link/uv.lock", "x.py"], {}).options
    assert options.python == os.path.join(os.getcwd(), "python")
    assert options.lock_file == os.path.join(os.path.realpath(tmp_path), "real", "uv.lock")


def test_variables_hold_where_no_option_is_given() -> None:
    environ = {"STORECTL_PYTHON": "3.11", "STORECTL_EXTRAS": "a, b", "STORECTL_GROUPS": "g h"}
    ambient = parse_run(["x.py"], environ).options
    assert (ambient.python, ambient.extras, ambient.groups) == ("3.11", ("a", "b"), ("g", "h"))
    own = parse_run(["-p", "3.12", "--extra", "c", "--group", "i", "x.py"], environ).options
    assert (own.python, own.extras, own.groups) == ("3.12", ("c",), ("i",))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-p"], "-p needs a value"),
        (["--extra="], "--extra needs a value"),
        (["--frobnicate", "x.py"], "--frobnicate is an option neither"),
        (["-Z", "x.py"], "-Z is an option neither"),
        (["-X"], "-X needs a value"),
        (["--lock", "a", "--lock", "b", "x.py"], "--lock is given 2 times: a, b"),
        (["--lock", "a", "--lock", "b", "x.py"], "--lock is given 2 times"),
    ],
)
def test_what_is_not_understood_is_a_usage_error_with_a_hint(arguments: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        parse_run(arguments, {})
    assert raised.value.hint
    assert raised.value.exit_code == 2


@pytest.mark.parametrize("arguments", [["-h"], ["--help"], ["-p", "3.12", "--help", "x.py"]])
def test_help_is_ours_before_the_program(arguments: list[str]) -> None:
    assert parse_run(arguments, {}).kind is Kind.HELP


def test_several_pythons_are_several_choices_in_their_order() -> None:
    request = parse_run(["-p", "3.10", "--extra", "x", "-p", "3.12", "-p", "3.10", "x.py"], {})
    assert [options.python for options in request.choices] == ["3.10", "3.12"]
    assert [options.extras for options in request.choices] == [("x",), ("x",)]
    assert not request.parallel
    assert parse_run(["-p3.10", "-p3.12", "--parallel", "x.py"], {}).parallel


def test_everything_that_can_be_chosen_is_an_option(tmp_path: Path) -> None:
    options = parse_run(["--all-extras", "--only-group", "g", "--offline", "x.py"], {}).options
    assert (options.all_extras, options.groups, options.only_groups, options.offline) == (True, ("g",), True, True)
    assert parse_run(["x.py"], {"STORECTL_OFFLINE": "1"}).options.offline
    assert not parse_run(["x.py"], {"STORECTL_OFFLINE": "0"}).options.offline
    assert options.key != parse_run(["--group", "g", "x.py"], {}).options.key


def test_variables_of_uv_hold_if_nothing_else_is_said() -> None:
    uv = {"UV_PYTHON": "3.12", "UV_OFFLINE": "true", "UV_NO_DEFAULT_GROUPS": "1", "UV_PROJECT": "/there"}
    request = parse_run(["x.py"], uv)
    assert (request.options.python, request.options.offline) == ("3.12", True)
    assert (request.options.default_groups, request.project) == (False, "/there")
    ours = parse_run(
        ["-p", "3.9", "--project", "/here", "x.py"], {**uv, "STORECTL_OFFLINE": "0", "UV_NO_DEFAULT_GROUPS": "0"}
    )
    assert (ours.options.python, ours.options.offline, ours.project) == ("3.9", False, "/here")
    assert ours.options.default_groups
    assert parse_run(["x.py"], {**uv, "STORECTL_PYTHON": "3.10"}).options.python == "3.10"
