"""Wheels are fetched as soon as they are known, whatever is still looked up: through the real command."""

import threading
from http.server import BaseHTTPRequestHandler

from support.index import LoopbackIndex
from support.machine import DEADLINE, Machine
from support.project import write_project
from support.wheels import WheelBytes, fresh_wheel

GUESTS = True  # the tests do not disturb one another: one daemon serves them all

PROGRAM = ("run", "-c", "import alpha, beta; print(alpha.value + beta.value)")


def wheels() -> tuple[WheelBytes, WheelBytes]:
    """Two wheels that the store has from no other test."""
    one, other = ({f"{name}.py": f"value = {value}\n"} for name, value in (("alpha", 40), ("beta", 2)))
    return fresh_wheel("alpha", files=one), fresh_wheel("beta", files=other)


def test_the_first_wheel_is_fetched_while_the_last_one_is_still_looked_up(
    machine: Machine, index: LoopbackIndex
) -> None:
    alpha, beta = wheels()
    folder = write_project(machine.home / "project", index, [alpha, beta], "requirements.txt")
    fetched = threading.Event()
    in_time: list[bool] = []

    def respond(request: BaseHTTPRequestHandler) -> bool:
        if request.path.endswith(alpha.filename):
            fetched.set()
        elif request.path.startswith("/simple/beta"):
            in_time.append(fetched.wait(DEADLINE / 4))
        return False

    index.respond = respond
    assert machine.ok(*PROGRAM, cwd=folder) == "42\n"
    assert in_time == [True]
    assert index.requests[f"/files/{alpha.filename}"] == 1


def test_a_wheel_that_is_on_its_way_does_not_hold_up_the_error_of_one_that_no_index_has(
    machine: Machine, index: LoopbackIndex
) -> None:
    alpha, beta = wheels()
    folder = write_project(machine.home / "project", index, [alpha, beta], "requirements.txt")
    del index.wheels[beta.filename]
    asked, over = threading.Event(), threading.Event()

    def respond(request: BaseHTTPRequestHandler) -> bool:
        if request.path.endswith(alpha.filename):
            asked.set()
            over.wait(DEADLINE / 4)
        elif request.path.startswith("/simple/beta"):
            asked.wait(DEADLINE / 4)
        return False

    index.respond = respond
    failed = machine.run(*PROGRAM, cwd=folder)
    assert not over.is_set()
    over.set()
    assert "beta" in failed.stderr
    assert "offered by no index" in failed.stderr
    index.wheels[beta.filename] = beta
    assert machine.ok(*PROGRAM, cwd=folder) == "42\n"
