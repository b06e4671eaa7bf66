"""What a program finds in an image, full or hot, is what it finds in a venv: the questions of the oracle, asked there."""

from pathlib import Path

import pytest

from fidelity.asked import Asked
from fidelity.comparison import compare, read_rules

pytestmark = [pytest.mark.network, pytest.mark.whole]

NAMES = 200
RECORDED = "import PIL.Image, attr, bs4, certifi, google.protobuf, yaml"


@pytest.mark.parametrize("kind", ["full", "hot"])
def test_nothing_in_an_image_differs_from_a_venv_but_what_is_meant_to(real: Asked, tmp_path: Path, kind: str) -> None:
    file = tmp_path / "image"
    program = ("--hot", "--", "-c", RECORDED) if kind == "hot" else ()
    real.machine.ok(
        "image",
        "build",
        "-p",
        str((real.environment / "bin/python").readlink()),
        "-o",
        file,
        *program,
        cwd=real.project,
        timeout=600,
    )
    environment = Path(real.machine.ok("image", "stage", "--to", tmp_path, file).strip())
    assert environment.name == real.environment.name
    venv, found = (real.pair.inside(root, sample=NAMES) for root in (real.venv, environment))
    assert len([key for key in venv if key.startswith("imports/")]) > NAMES
    comparison = compare(venv, found, read_rules())
    assert [str(difference) for difference in comparison.unexplained] == []
