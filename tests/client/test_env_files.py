"""Files of --env-file are read as uv reads them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from uv import find_uv_bin

from storectl.env_files import with_env_files
from storectl.errors import EnvFileError

FILES = {
    "plain": "A=1\nB = two \n\n# a comment\nexport C=3\nD=\nE= # nothing\nF=a#b\nexport=4\n",
    "quotes": 'A=\'raw $HOME \\n\'\nB="a b # c"\nC="line one\nline two"\nD=\'x\'y"z"\nE="a\\nb\\"c\\\\"\nF=""\n',
    "variables": "A=1\nB=$A-${A}\nC=\"${A} $KNOWN\"\nD='$A'\nE=\\$A\nF=$MISSING.\nG=$A_B\n",
    "a variable in quotes": 'A=1\nB="$A"\nC=3\n',
    "a variable before a space": 'A=1\nB=$A b\nC=$A\'x\'\nD=$$A\nE="$A b"\nF="${A}"\n',
    "a comment at once": "A=#x\nB=  # y\nC=''#z\nD=1\n",
    "twice": "A=1\nA=2\nKNOWN=no\n",
    "names": "a.b=1\n_x=2\nA1=3\n",
    "windows": "A=1\r\nB=2\r\n",
    "broken in the middle": "A=1\n=x\nB=2\n",
    "broken quote": "A=1\nB='x\n",
    "two words": "A=1\nB=two words\nC=3\n",
    "no equals": "A=1\njust words\n",
    "a digit first": "1A=1\n",
    "an unknown escape": "A=1\nB=a\\qb\n",
    "open braces": "A=1\nB=${A\n",
    "a comment behind": "A=1 # one\nB='2' # two\nC=\"3\"# three\n",
}
SHOW = "import json, os; print(json.dumps(dict(os.environ)))"


@pytest.mark.parametrize("name", FILES)
def test_a_file_means_what_it_means_to_uv(tmp_path: Path, name: str) -> None:
    file = tmp_path / "x.env"
    file.write_bytes(FILES[name].encode())
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KNOWN": "known"}
    command = [find_uv_bin(), "run", "--no-project", "--offline", "-p", sys.executable, "--env-file", str(file)]
    done = subprocess.run(
        [*command, sys.executable, "-c", SHOW], env=environ, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    theirs = json.loads(done.stdout)
    added = {name for name in theirs if name not in environ and not name.startswith(("UV", "VIRTUAL_ENV", "LC_"))}
    ours = with_env_files([str(file)], environ)
    assert ours == environ | {name: theirs[name] for name in added}


def test_a_line_that_is_not_understood_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.env").write_text("A=1\n\n=x\n")
    assert with_env_files([str(tmp_path / "x.env")], {}) == {"A": "1"}
    assert capsys.readouterr().err.startswith(f"storectl: warning: {tmp_path}/x.env, line 3 ")


def test_of_several_files_the_last_counts_and_what_is_set_before_all(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("A=1\nB=1\n")
    (tmp_path / "b").write_text("B=2\nC=2\n")
    paths = [str(tmp_path / name) for name in "ab"]
    assert with_env_files(paths, {"C": "own"}) == {"A": "1", "B": "2", "C": "own"}


def test_a_file_that_is_not_there_is_an_error_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(EnvFileError, match=r"nope\.env: No such file") as raised:
        with_env_files([str(tmp_path / "nope.env")], {})
    assert raised.value.hint
