"""Warms and collects at once: what is wanted is always there, and always whole."""

import itertools
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.collecting import OWN, Lived
from support.daemon import Daemon
from support.index import serve_index
from support.wheels import make_wheel

SHARED = make_wheel("shared")
LOCKED = [
    [
        SHARED,
        *(
            make_wheel(f"wheel-{n}", version, files={f"wheel_{n}/__init__.py": f"V = {version}\n{OWN}"})
            for n in range(4)
        ),
    ]
    for version in "12345678"
]
"""What the lock files select, in turn: by the time one comes again, a collect may be taking away what it needs."""


@contextmanager
def collecting(lived: Lived) -> Iterator[list[dict[str, Any]]]:
    """Collects one after the other, in a thread. The value is what each of them told last."""
    over = threading.Event()
    told: list[dict[str, Any]] = []

    def collect() -> None:
        while not over.is_set():
            told.append(lived.events(keep_generations=0)[-1])

    thread = threading.Thread(target=collect)
    thread.start()
    try:
        yield told
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("rounds", [16, pytest.param(1000, marks=pytest.mark.whole)])
def test_a_lock_file_whose_entries_are_being_swept_is_always_ready_and_always_whole(
    daemon: Daemon, tmp_path: Path, rounds: int
) -> None:
    """What a lock file needs is dead as soon as the project has another one."""
    with serve_index() as index:
        lived = Lived(daemon, index, tmp_path)
        for wheels in LOCKED:
            index.add(*wheels)
        with collecting(lived) as told:
            for number in itertools.count():
                if number >= rounds and went(told) > rounds / 10:
                    break
                assert number < 30 * rounds, "nothing goes"
                turn = number % len(LOCKED)
                project = lived.project("site", *LOCKED[turn])
                check_whole(Path(daemon.state(project)["environment"]["path"]), turn + 1)
                if number % 50 == 49:
                    assert lived.verified()
        lived.collect(keep_generations=0)
        assert len(daemon.get("/v1/entries")) == len(LOCKED[0])
        assert lived.verified()
    assert {event["event"] for event in told} == {"collected"}


def went(told: list[dict[str, Any]]) -> int:
    """How many environments have been taken away."""
    return sum(event.get("environments", 0) for event in told)


def test_who_looks_at_the_store_or_copies_out_of_it_while_it_is_collected_notices_nothing(
    daemon: Daemon, tmp_path: Path
) -> None:
    with serve_index() as index:
        lived = Lived(daemon, index, tmp_path)
        for wheels in LOCKED:
            index.add(*wheels)
        with collecting(lived) as told:
            for turn, wheels in enumerate(LOCKED[:2]):
                environment = daemon.ready(lived.project("site", *wheels))
                exported = lines(
                    daemon, f"/v1/environments/{environment['id']}/export", {"folder": str(tmp_path / f"{turn}")}
                )
                assert exported[-1]["event"] == "exported", exported
                repaired = lines(daemon, "/v1/verify", {"repair": True})
                assert [event for event in repaired if event["event"] in ("finding", "left")] == []
                assert environment["id"] in {each["id"] for each in daemon.get("/v1/environments")}
                assert daemon.state(tmp_path / "site")["state"] == "ready"
                assert daemon.get("/v1/why/shared")[0]["reasons"]
    assert {event["event"] for event in told} == {"collected"}


def lines(daemon: Daemon, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    status, _, answer = daemon.request("POST", path, body)
    assert status == 200, answer
    return [json.loads(line) for line in answer.splitlines()]


def check_whole(environment: Path, version: int) -> None:
    """Each module is there, and is of this version."""
    (packages,) = environment.glob("lib/python*/site-packages")
    assert [(packages / f"wheel_{n}/__init__.py").read_text() for n in range(4)] == [f"V = {version}\n{OWN}"] * 4
    assert json.loads((environment / "environment.json").read_text())["id"] == environment.name
