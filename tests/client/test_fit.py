"""Two environments on one path: what the earlier one breaks of the later one."""

import io
import zipfile
from pathlib import Path

import pytest

from storectl.kernels.fit import installed_in, markers_of, misfits
from support.wheels import WheelBytes, make_wheel

MARKERS = markers_of("3.12.1")


def folder_of(root: Path, name: str, *wheels: WheelBytes) -> Path:
    for wheel in wheels:
        zipfile.ZipFile(io.BytesIO(wheel.data)).extractall(root / name)
    (root / name).mkdir(exist_ok=True)
    return root / name


def found(root: Path, earlier: list[WheelBytes], later: list[WheelBytes]) -> list[str]:
    before, behind = (installed_in(str(folder_of(root, n, *w))) for n, w in (("a", earlier), ("b", later)))
    return [misfit.text for misfit in misfits(before, behind, MARKERS)]


def test_an_older_version_than_is_needed_is_named_with_both_versions(tmp_path: Path) -> None:
    needs = make_wheel("kernel", "7.0", requires_dist=("Traits.Lets>=5.4",))
    earlier, later = make_wheel("traits-lets", "4.1"), make_wheel("traits-lets", "5.9")
    assert found(tmp_path, [earlier], [needs, later]) == [
        "traits-lets 5.9 is loaded, the lock file has 4.1: kernel 7.0 needs >=5.4"
    ]


@pytest.mark.parametrize(
    "requirement", ["lets>=4", "lets", "lets>=5; python_version<'3.12'", "lets>=5; extra=='more'", "not a requirement"]
)
def test_what_is_not_needed_here_is_no_misfit(tmp_path: Path, requirement: str) -> None:
    needs = make_wheel("kernel", requires_dist=(requirement,))
    assert found(tmp_path, [make_wheel("lets", "4.1")], [needs, make_wheel("lets", "5.9")]) == []


def test_what_has_to_be_the_later_ones_has_needs_of_its_own(tmp_path: Path) -> None:
    later = [
        make_wheel("kernel", "1", requires_dist=("lets>=5",)),
        make_wheel("lets", "5", requires_dist=("deep>=2",)),
        make_wheel("deep", "2"),
    ]
    texts = found(tmp_path, [make_wheel("lets", "4"), make_wheel("deep", "1")], later)
    assert [text.partition(" ")[0] for text in texts] == ["deep", "lets"]
    (tmp_path / "other").mkdir()
    assert found(tmp_path / "other", [make_wheel("lets", "5"), make_wheel("deep", "1")], later) == []


def test_modules_are_those_right_below_site_packages(tmp_path: Path) -> None:
    files = {
        "pkg/__init__.py": "",
        "pkg/sub/x.py": "",
        "one.py": "",
        "_fast.cpython-312-x86_64-linux-gnu.so": b"",
        "a.txt": "",
    }
    folder = folder_of(tmp_path, "a", make_wheel("mixed", files=files))
    assert installed_in(str(folder))["mixed"].modules() == ("_fast", "one", "pkg")
