import mmap
import pickle
import unicodedata
from pathlib import Path

import pytest

from storectl_store.errors import WheelError
from storectl_store.wheel.check import check_wheel
from storectl_store.wheel.refusal import Code
from support.hostile import HOSTILE, Wheel
from support.odd import ODD


@pytest.mark.parametrize("wheel", HOSTILE, ids=lambda wheel: wheel.name)
def test_a_hostile_wheel_is_refused_in_one_clear_line(wheel: Wheel) -> None:
    with pytest.raises(WheelError) as caught:
        check_wheel(wheel.data, wheel.expectation)
    error = caught.value
    line = str(error)
    assert error.code == wheel.code
    assert wheel.filename in line
    assert error.hint is not None
    assert len(line) < 700
    assert not [c for c in line if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]


@pytest.mark.parametrize("wheel", ODD, ids=lambda wheel: wheel.name)
def test_an_odd_wheel_passes(wheel: Wheel) -> None:
    checked = check_wheel(wheel.data, wheel.expectation)
    assert "sample/__init__.py" in {member.path for member in checked.members}
    assert "\n".join(checked.warnings).count(wheel.warning or "\n") == (1 if wheel.warning else 0)


def test_every_code_has_its_hostile_wheels() -> None:
    assert {wheel.code for wheel in HOSTILE} == set(Code)
    assert len({wheel.name for wheel in (*HOSTILE, *ODD)}) == len(HOSTILE) + len(ODD)


@pytest.mark.parametrize("wheel", [ODD[0], HOSTILE[-1]], ids=lambda wheel: wheel.name)
def test_a_mapped_file_is_checked_like_bytes_and_can_be_closed(wheel: Wheel, tmp_path: Path) -> None:
    path = tmp_path / wheel.filename
    path.write_bytes(wheel.data)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        if wheel.code:
            with pytest.raises(WheelError, match=wheel.code):
                check_wheel(mapped, wheel.expectation)
        else:
            assert check_wheel(mapped, wheel.expectation) == check_wheel(wheel.data, wheel.expectation)


def test_a_refusal_survives_the_way_back_from_a_worker_process() -> None:
    wheel = next(wheel for wheel in HOSTILE if wheel.name == "name: escape sequence")
    with pytest.raises(WheelError) as caught:
        check_wheel(wheel.data, wheel.expectation)
    revived = pickle.loads(pickle.dumps(caught.value))
    assert (str(revived), revived.code, revived.facts) == (str(caught.value), "E_ZIP_NAME", caught.value.facts)
