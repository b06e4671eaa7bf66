"""One program under several Pythons, with real processes and a real terminal."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from storectl.matrix import Prepared, run_in_turn, run_side_by_side

PROGRAM = """
import sys
from storectl.matrix import Prepared, run_in_turn, run_side_by_side
how = {"turn": run_in_turn, "side": run_side_by_side}[sys.argv[1]]
runs = [Prepared(python=f"3.{9 + n}", command=[sys.executable, "-c", code], environ={"N": str(n)}) for n, code in enumerate(sys.argv[2:])]
sys.exit(how(runs))
"""


def matrix(how: str, *codes: str, **options: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", PROGRAM, how, *codes]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, **options)  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize("how", ["turn", "side"])
def test_all_run_and_the_first_failure_is_the_exit_code(how: str) -> None:
    done = matrix(how, "print('one')", "print('two'); raise SystemExit(3)", "print('three'); raise SystemExit(4)")
    assert done.returncode == 3
    assert [line.rpartition(" ")[2] for line in done.stdout.splitlines() if line] == [
        "one",
        "two",
        "three",
    ] or how == "side"
    assert sorted(line.rpartition(" ")[2] for line in done.stdout.splitlines()) == ["one", "three", "two"]
    assert matrix(how, "pass", "pass").returncode == 0


def test_a_program_that_a_signal_ended_counts_as_shells_count() -> None:
    assert matrix("turn", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)").returncode == 128 + signal.SIGKILL


def test_in_turn_each_has_the_standard_input_and_a_line_says_which_it_is() -> None:
    done = matrix(
        "turn", "import os; print(os.read(0, 2).decode())", "import os; print(os.read(0, 2).decode())", input="abcd"
    )
    assert done.stdout.split() == ["ab", "cd"]
    assert done.stderr.splitlines() == ["storectl: python 3.9", "storectl: python 3.10"]


def test_side_by_side_lines_come_whole_with_their_version_and_there_is_no_input() -> None:
    code = "import os, sys; [print('x' * 500, flush=True) for _ in range(50)]; print(sys.stdin.read() == '', file=sys.stderr)"
    done = matrix("side", code, code, input="nothing")
    lines = done.stdout.splitlines()
    assert sorted(lines) == sorted(["3.9  | " + "x" * 500] * 50 + ["3.10 | " + "x" * 500] * 50)
    assert {"3.9  | True", "3.10 | True", "storectl: python 3.9: ok", "storectl: python 3.10: ok"} <= set(
        done.stderr.splitlines()
    )


def test_an_interrupt_is_for_the_programs_and_ends_the_rest(tmp_path: Path) -> None:
    code = f"import pathlib, time; pathlib.Path({str(tmp_path / 'up')!r}).touch(); time.sleep(60)"
    command = [sys.executable, "-c", PROGRAM, "turn", code, f"open({str(tmp_path / 'second')!r}, 'w')"]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE)
    while not (tmp_path / "up").exists():
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, words = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"KeyboardInterrupt" in words
    assert not (tmp_path / "second").exists()


def test_the_variables_are_those_of_each_run(capfd: pytest.CaptureFixture[str]) -> None:
    runs = [
        Prepared(
            python=str(n), command=[sys.executable, "-c", "import os; print(os.environ['N'])"], environ={"N": str(n)}
        )
        for n in range(2)
    ]
    assert run_in_turn(runs) == 0
    assert capfd.readouterr().out.split() == ["0", "1"]
    assert callable(run_side_by_side)
