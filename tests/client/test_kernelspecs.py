"""`storectl kernel install`, `list` and `remove`: what Jupyter finds."""

import json
from pathlib import Path

import pytest

from support.client_project import ClientHome


def test_the_kernelspec_starts_the_kernel_with_jupyters_connection_file(home: ClientHome) -> None:
    done = home.storectl("kernel", "install")
    folder = home.home / ".local/share/jupyter/kernels/storectl"
    assert (done.returncode, done.stdout) == (0, f"{folder}\n"), done.stderr
    spec = json.loads((folder / "kernel.json").read_text())
    assert Path(spec["argv"][0]).is_absolute()
    assert spec["argv"][-4:] == ["kernel", "start", "-f", "{connection_file}"]
    assert (spec["display_name"], spec["language"]) == ("Python (storectl)", "python")
    assert [path.name for path in folder.iterdir()] == ["kernel.json"]


def test_kernels_are_listed_replaced_and_removed_by_name(home: ClientHome) -> None:
    prefix = home.root / "prefix"
    home.storectl("kernel", "install", "--prefix", str(prefix), "--name", "Mine", "--display-name", "First")
    home.storectl("kernel", "install", "--prefix", str(prefix), "--name", "mine", "--display-name", "Second")
    home.storectl("kernel", "install", "--user")
    more = str(prefix / "share/jupyter")
    listed = json.loads(home.storectl("kernel", "list", "--json", JUPYTER_PATH=more).stdout)
    assert [(spec["name"], spec["display_name"]) for spec in listed] == [
        ("storectl", "Python (storectl)"),
        ("mine", "Second"),
    ]
    assert home.storectl("kernel", "remove", "mine", "--prefix", str(prefix)).returncode == 0
    assert "mine" not in home.storectl("kernel", "list", JUPYTER_PATH=more).stdout
    assert home.storectl("kernel", "remove").returncode == 0
    gone = home.storectl("kernel", "remove")
    assert gone.returncode == 1
    assert gone.stderr.startswith("storectl: E_KERNEL: there is no kernel storectl of storectl\nhint: ")


def test_another_programs_kernel_is_left_alone(home: ClientHome) -> None:
    folder = home.root / "data/kernels/python3"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text('{"argv": [], "display_name": "Python 3", "metadata": {}}')
    data = str(home.root / "data")
    done = home.storectl("kernel", "install", "--name", "python3", JUPYTER_DATA_DIR=data)
    assert (done.returncode, "E_KERNEL" in done.stderr) == (1, True)
    assert home.storectl("kernel", "list", JUPYTER_DATA_DIR=data).stdout == ""
    assert home.storectl("kernel", "remove", "python3", JUPYTER_DATA_DIR=data).returncode == 1
    assert "Python 3" in (folder / "kernel.json").read_text()


@pytest.mark.parametrize("arguments", [("--name", "a b"), ("--user", "--sys-prefix"), ("--user", "--prefix", "x")])
def test_what_makes_no_sense_is_a_usage_error(home: ClientHome, arguments: tuple[str, ...]) -> None:
    assert home.storectl("kernel", "install", *arguments).returncode == 2
