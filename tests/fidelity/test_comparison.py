"""The comparison itself: what counts as a difference, and which are meant to be."""

import json
import re
import subprocess
import sys
from pathlib import Path

from fidelity.comparison import Rule, compare, read_rules
from fidelity.pair import INSIDE, SECTIONS

RULE = Rule(key=re.compile("files/x.*"), side="only_venv", reason="because")


def test_equal_values_are_no_difference() -> None:
    comparison = compare({"files/a": [1], "paths/b": None}, {"files/a": [1], "paths/b": None}, [])
    assert comparison.unexplained == ()
    assert comparison.equal == comparison.compared == {"files": 1, "paths": 1}


def test_a_missing_key_an_extra_one_and_an_unequal_value_are_differences() -> None:
    comparison = compare({"files/a": 1, "files/b": None}, {"files/a": 2, "files/c": 3}, [])
    assert [(d.key, d.side) for d in comparison.unexplained] == [
        ("files/a", "both"),
        ("files/b", "only_venv"),
        ("files/c", "only_storectl"),
    ]
    assert comparison.equal == {}


def test_a_rule_explains_its_side_and_whole_keys_only() -> None:
    comparison = compare({"files/x1": 1, "more/files/x": 1}, {"files/x2": 1}, [RULE])
    assert [difference.key for difference, _ in comparison.explained] == ["files/x1"]
    assert [difference.key for difference in comparison.unexplained] == ["files/x2", "more/files/x"]


def test_every_rule_of_the_file_has_a_reason() -> None:
    rules = read_rules()
    assert rules
    assert all(len(rule.reason) > 10 for rule in rules)


def test_an_interpreter_tells_what_is_in_its_environment(tmp_path: Path) -> None:
    python = tmp_path / "venv/bin/python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    site = next((tmp_path / "venv/lib").glob("python*/site-packages"))
    (site / "good").mkdir()
    (site / "good/__init__.py").write_text("")
    (site / "good/data.txt").write_text("x")
    (site / "bad.py").write_text("raise ValueError(__file__)\n")
    (site / "good-1.dist-info").mkdir()
    (site / "good-1.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: good\nVersion: 1\n")
    command = [str(python), str(INSIDE)]
    found = json.loads(subprocess.run([*command, *SECTIONS], check=True, capture_output=True).stdout)
    assert found["metadata/good/version"] == "1"
    assert found["modules/good"][1][3] == ["<site>/good"]
    assert found["top_level/bad"] is True
    assert found["paths/sysconfig/purelib"] == "<site>"
    answer = subprocess.run([*command, "imports", "good", "bad"], check=True, capture_output=True).stdout
    outcomes = json.loads(answer)
    assert outcomes["imports/bad"] == ["ValueError", "<site>/bad.py"]
    assert outcomes["imports/good"][0] == "ok"
    assert outcomes["imports/good"][4] == ["__init__.py", "data.txt"]
