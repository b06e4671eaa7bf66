"""Limits of a node daemon: one account's use of them leaves the others theirs."""

import asyncio
import socket

import pytest

from storectl_daemon.node import limits
from storectl_daemon.node.limits import Buckets, BusyError, NodeGate, Turns
from storectl_daemon.node.policy import NodeLimits


def test_a_bucket_holds_two_seconds_and_fills_at_its_rate() -> None:
    now = 0.0
    buckets = Buckets(10, clock=lambda: now)
    for _ in range(20):
        buckets.take(1)
    assert not buckets.has(1)
    with pytest.raises(BusyError):
        buckets.take(1)
    buckets.take(2)  # another account's is full
    now = 0.1
    buckets.take(1)
    with pytest.raises(BusyError):
        buckets.take(1)
    now = 100.0
    for _ in range(20):
        buckets.take(1)
    with pytest.raises(BusyError):
        buckets.take(1)


def enter(gate: NodeGate, monkeypatch: pytest.MonkeyPatch, uid: int) -> int | None:
    monkeypatch.setattr(limits, "peer_uid", lambda _: uid)
    with socket.socket(socket.AF_UNIX) as connection:
        return gate.enter(connection)


def test_an_account_has_so_many_connections_and_all_together_leave_room_for_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate = NodeGate(NodeLimits(), Buckets(10_000))
    assert [enter(gate, monkeypatch, 1) for _ in range(33)] == [1] * 32 + [None]
    for uid in range(2, 15):
        for _ in range(32):
            enter(gate, monkeypatch, uid)
    assert gate.connections == 448
    assert enter(gate, monkeypatch, 14) is None
    assert [enter(gate, monkeypatch, uid) for uid in range(100, 132)] == list(range(100, 132))
    assert [enter(gate, monkeypatch, uid) for uid in range(100, 132)] == list(range(100, 132))
    assert enter(gate, monkeypatch, 200) is None
    gate.leave(1)
    assert enter(gate, monkeypatch, 200) == 200


def test_an_account_without_requests_left_waits_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    buckets = Buckets(1, clock=lambda: 0.0)
    gate = NodeGate(NodeLimits(), buckets)
    buckets.take(1)
    buckets.take(1)
    assert enter(gate, monkeypatch, 1) is None
    assert enter(gate, monkeypatch, 2) == 2


def test_turns_of_one_account_keep_no_other_waiting() -> None:
    async def take() -> None:
        turns = Turns(2)
        async with turns.turn(1), turns.turn(1):
            waiting = asyncio.ensure_future(_has_turn(turns, 1))
            assert await asyncio.wait_for(_has_turn(turns, 2), 10)
            assert not waiting.done()
        assert await asyncio.wait_for(waiting, 10)

    asyncio.run(take())


async def _has_turn(turns: Turns, uid: int) -> bool:
    async with turns.turn(uid):
        return True
