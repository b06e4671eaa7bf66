"""The wheel an interpreter takes."""

import itertools

import pytest
from packaging.utils import NormalizedName

from storectl_store.digest import digest_of_hex
from storectl_store.selection.choose import choose_wheel, no_wheel_error
from storectl_store.selection.pin import WheelFile
from support.targets import make_interpreter

LINUX = make_interpreter("3.12.1", "linux")


def wheel(filename: str, hexdigit: str = "a") -> WheelFile:
    return WheelFile(filename=filename, digest=digest_of_hex(hexdigit * 64), url=f"https://index.invalid/{filename}")


def chosen(*filenames: str) -> str | None:
    """The choice, which has to be the same in whatever order the wheels come."""
    choices = {choose_wheel([wheel(name) for name in order], LINUX) for order in itertools.permutations(filenames)}
    (choice,) = choices
    return choice.filename if choice else None


def test_the_most_specific_tag_wins() -> None:
    pure = "a-1.0-py3-none-any.whl"
    stable = "a-1.0-cp39-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
    own = "a-1.0-cp312-cp312-manylinux_2_28_x86_64.whl"
    assert chosen(pure, stable, own) == own
    assert chosen(pure, stable) == stable
    assert chosen(pure, "a-1.0-cp313-cp313-manylinux_2_28_x86_64.whl") == pure


def test_the_newer_platform_of_one_python_wins() -> None:
    assert (
        chosen("a-1.0-cp312-cp312-manylinux_2_17_x86_64.whl", "a-1.0-cp312-cp312-manylinux_2_28_x86_64.whl")
        == "a-1.0-cp312-cp312-manylinux_2_28_x86_64.whl"
    )


def test_a_platform_newer_than_the_system_does_not_fit() -> None:
    assert chosen("a-1.0-cp312-cp312-manylinux_2_39_x86_64.whl") is None


def test_the_highest_build_number_wins_among_equal_tags() -> None:
    assert (
        chosen("a-1.0-py3-none-any.whl", "a-1.0-9-py3-none-any.whl", "a-1.0-10-py3-none-any.whl")
        == "a-1.0-10-py3-none-any.whl"
    )


def test_one_file_listed_twice_is_chosen_by_its_digest() -> None:
    first, second = wheel("a-1.0-py3-none-any.whl", "1"), wheel("a-1.0-py3-none-any.whl", "2")
    assert choose_wheel([first, second], LINUX) == choose_wheel([second, first], LINUX) == first


@pytest.mark.parametrize(
    "filename",
    [
        "a-1.0.tar.gz",
        "a-py3-none-any.whl",
        "a-1.0-py3-none-any.whl/../../x",
        "a-1.0-py3-none-../../../any.whl",
        "a-1.0-py3-none-any\n.whl",
        "",
        f"{'a' * 300}-1.0-py3-none-any.whl",
        "a-one-py3-none-any.whl",
    ],
)
def test_what_is_no_wheel_by_its_name_is_skipped(filename: str) -> None:
    assert choose_wheel([wheel(filename)], LINUX) is None
    assert choose_wheel([wheel(filename), wheel("a-1.0-py3-none-any.whl")], LINUX) == wheel("a-1.0-py3-none-any.whl")


@pytest.mark.parametrize(
    ("filenames", "message"),
    [
        (
            ["x-1.0-cp39-cp39-win32.whl", "x-1.0-cp314-cp314-win32.whl", "x-1.0-cp313-cp313-win32.whl"],
            "`x` 1.0 has wheels for cp39, cp313, cp314 only; Python is 3.12",
        ),
        (
            ["x-1.0-cp312-cp312-win_amd64.whl", "x-1.0-cp311-cp311-win_amd64.whl"],
            "`x` 1.0 has wheels for win_amd64 only; this platform is manylinux_2_36_x86_64",
        ),
        (["x-1.0-cp312-cp312t-win32.whl"], "`x` 1.0 has wheels for cp312-cp312t only; Python is 3.12"),
        (["x.zip"], "`x` 1.0 has wheels for nothing that is a wheel by its name only; Python is 3.12"),
    ],
)
def test_the_error_says_what_exists_and_what_is_accepted(filenames: list[str], message: str) -> None:
    error = no_wheel_error(NormalizedName("x"), "1.0", filenames, LINUX, has_sdist=False)
    assert error.message == message
    assert error.facts["name"] == "x"


def test_the_error_says_that_a_source_distribution_does_not_help() -> None:
    error = no_wheel_error(NormalizedName("x"), "1.0", ["x-1.0-cp39-cp39-win32.whl"], LINUX, has_sdist=True)
    assert error.hint
    assert "wheels only" in error.hint
