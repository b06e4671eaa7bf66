"""Archives that are locked by address: a wheel of the right project that fits, or sources."""

import pytest
from packaging.utils import NormalizedName

from storectl_store.digest import digest_of_hex
from storectl_store.errors import NoWheelError
from storectl_store.selection.direct_sources import addressed_archive
from storectl_store.selection.pin import Pin, SourceArchive, SourcePin
from storectl_store.selection.tables.toml_table import Table
from support.targets import make_target

DIGEST = digest_of_hex("1" * 64)
FOLDER = "https://files.invalid/packages"


def pinned(filename: str, *, version: str | None = None, subdirectory: str | None = None) -> Pin | SourcePin:
    return addressed_archive(
        NormalizedName("a-b"),
        f"{FOLDER}/{filename}",
        make_target().interpreter,
        table=Table(values={}, file="lock"),
        key="files",
        digests={DIGEST},
        version=version,
        subdirectory=subdirectory,
    )


def test_a_wheel_has_the_version_of_its_file_name() -> None:
    pin = pinned("A_b-1.5-py3-none-any.whl", version="1.4")
    assert isinstance(pin, Pin)
    assert (pin.name, pin.version, pin.wheel.filename) == ("a-b", "1.5", "A_b-1.5-py3-none-any.whl")
    assert (pin.wheel.url, pin.wheel.digest) == (f"{FOLDER}/A_b-1.5-py3-none-any.whl", DIGEST)
    assert pin.direct_url is not None


@pytest.mark.parametrize("version", ["1.4", None])
def test_everything_else_is_sources(version: str | None) -> None:
    pin = pinned("a_b-1.5.tar.gz", version=version, subdirectory="python")
    assert isinstance(pin, SourcePin)
    assert (pin.version, pin.subdirectory) == (version, "python")
    assert pin.source == SourceArchive(filename="a_b-1.5.tar.gz", digest=DIGEST, url=f"{FOLDER}/a_b-1.5.tar.gz")


@pytest.mark.parametrize("filename", ["other-1.5-py3-none-any.whl", "a_b.whl", "a_b-one-py3-none-any.whl"])
def test_the_wheel_of_another_project_or_of_none_is_refused(filename: str) -> None:
    with pytest.raises(ValueError, match="is not the file name of a wheel of it"):
        pinned(filename)


def test_a_wheel_that_does_not_fit_is_no_choice() -> None:
    with pytest.raises(NoWheelError):
        pinned("a_b-1.5-cp27-none-win32.whl")
