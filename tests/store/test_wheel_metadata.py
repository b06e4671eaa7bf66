import pytest
from packaging.utils import canonicalize_name

from storectl_store.errors import WheelError
from storectl_store.wheel.checked import Expectation
from storectl_store.wheel.filename import parse_filename
from storectl_store.wheel.metadata import check_metadata, check_wheel_file
from storectl_store.wheel.remarks import Remarks

FILENAME = "my_sample-1.0+local.1-py2.py3-none-any.whl"
WHEEL = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py2-none-any\nTag: py3-none-any\n"


def remarks_on(text: str, filename: str = FILENAME) -> tuple[str, ...]:
    remarks = Remarks()
    check_wheel_file(text.encode(), "WHEEL", parse_filename(filename), remarks)
    return remarks.lines()


def requirements(text: str, version: str | None = None) -> tuple[str, ...]:
    expectation = Expectation(filename=FILENAME, digests={}, name=canonicalize_name("My.Sample"), version=version)
    return check_metadata(text.encode(), "METADATA", parse_filename(FILENAME), expectation, Remarks()).requires_dist


@pytest.mark.parametrize(
    "tags",
    [
        "Tag: py2-none-any\nTag: py3-none-any\n",
        "Tag: py2.py3-none-any\n",
        "Tag: py2-none-any\n     py3-none-any\n",
        "Tag: py2-none-any py3-none-any\n",
    ],
)
def test_tags_may_be_written_in_every_way_that_was_ever_used(tags: str) -> None:
    assert remarks_on(f"Wheel-Version: 1.0\nRoot-Is-Purelib: True\n{tags}") == ()


def test_other_tags_than_the_file_name_has_are_a_warning() -> None:
    (warning,) = remarks_on(WHEEL, "my_sample-1.0-py3-none-any.whl")
    assert warning.startswith("W_WHEEL_TAGS: ")


@pytest.mark.parametrize(("version", "warnings"), [("0.1", 0), ("1.0", 0), ("1.1", 1), ("1.99", 1)])
def test_only_a_newer_minor_version_is_a_warning(version: str, warnings: int) -> None:
    assert len(remarks_on(WHEEL.replace("1.0", version))) == warnings


@pytest.mark.parametrize("name", ["my-sample", "My.Sample", "MY__SAMPLE"])
@pytest.mark.parametrize("version", ["1.0+local.1", "1.0.0+local-1", "v1.0+LOCAL_1"])
def test_name_and_version_may_be_spelled_otherwise(name: str, version: str) -> None:
    assert requirements(f"Name: {name}\nVersion: {version}\n", version) == ()


def test_requirements_come_on_one_line_each() -> None:
    text = "Name: my-sample\nVersion: 1.0+local.1\nRequires-Dist: a>=1;\n  python_version < '3'\nRequires-Dist: b\n"
    assert requirements(text + "\nRequires-Dist: in the description\n") == ("a>=1; python_version < '3'", "b")


def test_headers_may_end_with_crlf_and_the_description_may_hold_anything() -> None:
    text = "Name: my-sample\r\nVersion: 1.0+local.1\r\nRequires-Dist: a\r\n\r\nName: other\r\n\u202e\x1b"
    assert requirements(text) == ("a",)


def test_another_version_than_the_locked_one_is_refused() -> None:
    with pytest.raises(WheelError, match=r"E_WHEEL_META.*lock file says '1\.0'"):
        requirements("Name: my-sample\nVersion: 1.0+local.1\n", "1.0")


def test_a_locked_version_that_is_none_is_refused() -> None:
    with pytest.raises(WheelError, match="E_WHEEL_META"):
        requirements("Name: my-sample\nVersion: 1.0+local.1\n", "latest")
