"""`storectl layer`: the list of layers, what is wrong with them, and how one is added."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from storectl.cli import main
from storectl.commands.documents import DOCUMENTS
from storectl_store.entries.layer_settings import read_layer_settings
from support.json_page import differences
from support.layers import write_config
from support.stores import written_store
from support.wheels import make_wheel


@pytest.fixture
def lower(tmp_path: Path) -> Path:
    with written_store(tmp_path / "lower") as written:
        written.commit(make_wheel("alpha"))
    return tmp_path / "lower"


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "etc").mkdir()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("STORECTL_SYSTEM_CONFIG", str(tmp_path / "etc"))
    monkeypatch.delenv("STORECTL_LAYERS", raising=False)
    return tmp_path / "config" / "storectl" / "config.toml"


def document(capsys: pytest.CaptureFixture[str], *command: str, code: int = 0) -> Any:
    capsys.readouterr()
    assert main([*command, "--json"]) == code
    found = json.loads(capsys.readouterr().out)
    assert not list(differences(found, DOCUMENTS[" ".join(command[:2])]))
    return found


def test_a_layer_is_added_listed_and_checked(lower: Path, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert document(capsys, "layer", "list") == {"layers": [], "problems": []}
    config.parent.mkdir(parents=True)
    config.write_text('[collect]\nauto = "off"')
    assert main(["layer", "add", str(lower), "--builds", "--owner", str(os.geteuid())]) == 0
    assert config.read_text().startswith('[collect]\nauto = "off"\n[[layers]]\n')
    (layer,) = read_layer_settings(os.environ).layers
    assert (layer.path, layer.builds, layer.owner) == (lower, "trusted", str(os.geteuid()))
    (told,) = document(capsys, "layer", "list")["layers"]
    assert (told["path"], told["used"], told["entries"], told["environments"]) == (str(lower), True, 1, 0)
    capsys.readouterr()
    assert main(["layer", "check"]) == 0
    assert capsys.readouterr().out == f"{lower}: used, 1 wheel, 0 environments\n"
    assert main(["layer", "add", str(lower)]) == 0
    assert "already" in capsys.readouterr().out


def test_what_is_no_layer_is_not_added(tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis").mkdir()
    assert main(["layer", "add", str(tmp_path / "thesis")]) == 1
    told = capsys.readouterr().err
    assert "E_LAYER" in told
    assert "is not a store" in told
    assert "hint: " in told
    assert not config.exists()


def test_a_layer_that_is_not_used_says_why(lower: Path, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_config(config.parent, lower)
    lower.chmod(0o775)
    (told,) = document(capsys, "layer", "check", code=1)["layers"]
    assert (told["used"], told["problem"]["code"]) == (False, "E_LAYER")
    assert main(["layer", "list"]) == 0
    assert f"E_LAYER: the layer {lower} is not used: others may write in {lower}" in capsys.readouterr().out


def test_a_folder_can_be_asked_about_before_it_is_added(lower: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (told,) = document(capsys, "layer", "check", str(lower))["layers"]
    assert (told["used"], told["said_in"]) == (True, "")


def test_a_layer_that_does_not_answer_is_told_as_that(
    lower: Path, config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storectl.commands.layer.ANSWER_SECONDS", 0.1)
    write_config(config.parent, lower)
    (lower / "VERSION").unlink()
    os.mkfifo(lower / "VERSION")
    assert main(["layer", "check"]) == 1
    assert f"the layer {lower} does not answer" in capsys.readouterr().out
    for _ in range(2):  # let the one go on that waits
        descriptor = os.open(lower / "VERSION", os.O_RDWR | os.O_NONBLOCK)
        os.write(descriptor, b"storectl store 1\n")
        os.close(descriptor)


def test_mistakes_in_the_settings_are_told(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_config(config.parent, Path("relative"))
    found = document(capsys, "layer", "check", code=1)
    assert found["layers"] == []
    assert "must be absolute" in found["problems"][0]["detail"]
    config.write_text("layers = []\n")
    assert main(["layer", "add", str(config.parent)]) == 1
