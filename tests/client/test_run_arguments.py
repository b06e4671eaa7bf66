"""Where our options end and the program's begin."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from uv import find_uv_bin

from storectl.errors import UsageError
from storectl.run_arguments import Kind, parse_run
from storectl.run_options import BY_NAME, REFUSED


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
    assert request.kind == Kind.INTERPRETER
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
        (["--frobnicate", "x.py"], "storectl run has no option --frobnicate"),
        (["-Z", "x.py"], "storectl run has no option -Z"),
        (["-X"], "-X needs a value"),
        (["--project", "a", "--project", "b", "x.py"], "--project is given 2 times: a, b"),
    ],
)
def test_what_is_not_understood_is_a_usage_error_with_a_hint(arguments: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        parse_run(arguments, {})
    assert raised.value.hint
    assert raised.value.exit_code == 2


@pytest.mark.parametrize("arguments", [["-h"], ["--help"], ["-p", "3.12", "--help", "x.py"]])
def test_help_is_ours_before_the_program(arguments: list[str]) -> None:
    assert parse_run(arguments, {}).kind == Kind.HELP


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


def test_every_option_of_uv_run_is_known() -> None:
    done = subprocess.run([find_uv_bin(), "run", "--help"], capture_output=True, text=True, check=True)
    names = {name for line in done.stdout.splitlines() for name in re.findall(r"^ {2,6}(-\w, )?(--[\w-]+)", line)}
    spelled = {name for short, long in names for name in (short.rstrip(", "), long) if name}
    pythons = {"-i", "-P"}
    assert len(spelled) > 60
    assert spelled - set(BY_NAME) - set(REFUSED) - pythons - {"-h", "--help", "--locked", "--frozen"} == set()


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_an_option_of_uv_without_a_meaning_here_is_refused_with_what_to_say_instead(name: str) -> None:
    with pytest.raises(UsageError, match=f"^{name} is an option of uv, and not of storectl run$") as raised:
        parse_run([name, "x.py"], {})
    assert raised.value.hint == REFUSED[name]


@pytest.mark.parametrize(
    ("given", "meant"),
    [("--exta", "--extra"), ("--grup=x", "--group"), ("--allextras", "--all-extras"), ("--pyton", "--python")],
)
def test_an_unknown_option_is_answered_with_the_nearest(given: str, meant: str) -> None:
    with pytest.raises(UsageError, match=f"has no option {given.partition('=')[0]}") as raised:
        parse_run([given, "x.py"], {})
    assert f"is {meant}" in str(raised.value.hint)


def test_groups_and_extras_are_chosen_in_uv_s_words() -> None:
    options = parse_run(
        ["--all-extras", "--no-extra", "e", "--all-groups", "--no-group", "g", "--no-dev", "x"], {}
    ).options
    assert (options.all_extras, options.no_extras, options.all_groups, options.no_groups) == (
        True, ("e",), True, ("dev", "g"),
    )  # fmt: skip
    only = parse_run(["--only-dev", "x"], {}).options
    assert (only.groups, only.only_groups) == (("dev",), True)
    assert parse_run(["--dev", "--no-dev", "x"], {}).options.no_groups == ("dev",)
    assert parse_run(["--no-dev", "--dev", "x"], {}).options.no_groups == ()
    keys = {options.key, only.key, parse_run(["--all-packages", "x"], {}).options.key, parse_run(["x"], {}).options.key}
    assert len(keys) == 4


def test_a_module_and_a_script_may_be_said_in_uv_s_words() -> None:
    for spelling in (["-m"], ["--module"], ["-m", "--offline"], ["--module", "--"]):
        request = parse_run([*spelling, "mod", "-m", "x"], {})
        assert (request.kind, request.arguments) == (Kind.INTERPRETER, ("-m", "mod", "-m", "x"))
    for script in ("-s", "--script"):
        request = parse_run([script, "name", "-s"], {})
        assert (request.kind, request.script, request.arguments) == (Kind.NAMED, True, ("name", "-s"))
        assert request.interpreter_options == ()


def test_what_sets_a_variable_of_uv_sets_it_for_storectl() -> None:
    request = parse_run(
        ["--index", "a=http://a", "--index", "http://b", "-q", "--no-index", "--no-python-downloads", "x"], {}
    )
    assert request.variables == {
        "UV_INDEX": "a=http://a http://b",
        "STORECTL_QUIET": "1",
        "UV_NO_INDEX": "1",
        "UV_PYTHON_DOWNLOADS": "never",
    }
    assert parse_run(["-i", "http://a/simple", "x"], {}).variables == {"UV_INDEX_URL": "http://a/simple"}
    assert parse_run(["-i", "x"], {}).interpreter_options == ("-i",)


def test_what_is_so_in_any_case_changes_nothing() -> None:
    request = parse_run(["--isolated", "--exact", "-n", "--cache-dir", "x", "--active", "x.py"], {})
    assert (request.options.key, request.variables, request.arguments) == ("default", {}, ("x.py",))


def test_what_comes_on_top_may_be_a_file_or_a_folder() -> None:
    request = parse_run(
        ["-w", "a", "--with-editable", "./b", "--with-requirements=c.txt", "--refresh-package", "a", "x"], {}
    )
    assert request.requirements == ("a", "./b", "-r c.txt")
    assert request.refresh


def test_another_folder_is_gone_to_before_any_path_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    request = parse_run(["--directory", str(tmp_path), "--lock", "uv.lock", "x"], {}, os.chdir)
    assert request.options.lock_file == os.path.join(os.path.realpath(tmp_path), "uv.lock")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--package", "a", "--all-packages"],
        ["--package", "a", "--no-project"],
        ["-m", "-s", "x"],
        ["--only-dev", "--no-dev"],
    ],
)
def test_options_that_contradict_each_other_are_refused(arguments: list[str]) -> None:
    with pytest.raises(UsageError, match="cannot be given together"):
        parse_run([*arguments, "x"], {})


@pytest.mark.parametrize("arguments", [["-m"], ["--module"], ["--offline=yes", "x"]])
def test_a_value_that_lacks_or_is_too_much_is_refused(arguments: list[str]) -> None:
    with pytest.raises(UsageError):
        parse_run(arguments, {})


def test_further_variables_of_uv_count() -> None:
    environ = {
        "UV_NO_DEV": "1", "UV_NO_GROUP": "a b", "UV_ENV_FILE": "x.env y.env", "UV_NO_PROJECT": "true", "UV_NO_SYNC": "on",
    }  # fmt: skip
    request = parse_run(["x"], environ)
    assert (request.options.no_groups, request.env_files) == (("a", "b", "dev"), ("x.env", "y.env"))
    assert (request.no_project, request.no_sync) == (True, True)
    assert parse_run(["--dev", "x"], environ).options.no_groups == ("a", "b")
    assert parse_run(["--no-env-file", "x"], environ).env_files == ()
    assert parse_run(["--env-file", "z", "x"], environ).env_files == ("z",)
    assert not parse_run(["x"], {"UV_NO_DEV": "0"}).options.no_groups
