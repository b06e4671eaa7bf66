"""Messages are read and written without pydantic just as pydantic would, or left to it."""

import json

import pytest
from pydantic import TypeAdapter, ValidationError

from storectl_daemon.messages import Message, read_message
from storectl_daemon.models import (
    ApiInfo,
    EnvironmentInfo,
    FailedEvent,
    Health,
    InterpreterInfo,
    Problem,
    ProgressEvent,
    ReadyEvent,
    WarmRequest,
)
from storectl_store.digest import EnvironmentId

LATIN = "/caf\udce9/späť \N{GRINNING FACE}"
ENVIRONMENT = EnvironmentInfo(
    id=EnvironmentId("0" * 32),
    path=LATIN,
    python=f"{LATIN}/bin/python",
    project=None,
    lock_file='/a\tb"\\',
    interpreter=InterpreterInfo(executable=LATIN, version="3.12.1"),
    wheels=3,
)


@pytest.mark.parametrize(
    "message",
    [
        ReadyEvent(environment=ENVIRONMENT),
        FailedEvent(problem=Problem(code="E_X", detail=f"not {LATIN}\n", hint=None, missing_python=">=3.12")),
        ProgressEvent(phase="fetch", done=1, total=2, bytes_done=2**40, current="späť"),
        Health(version="1", api=ApiInfo(), pid=1, store=LATIN, socket="/s", uptime_s=0.25, rss_bytes=0),
    ],
    ids=lambda message: type(message).__name__,
)
def test_a_message_is_written_as_pydantic_writes_it(message: Message) -> None:
    adapter = TypeAdapter(type(message))
    assert message.json_text().encode() == adapter.dump_json(message)
    assert message.json_value() == json.loads(adapter.dump_json(message))


def request(**fields: object) -> bytes:
    return json.dumps({"start": "/x", **fields}).encode()


OURS = (
    request(),
    request(lock_file=None, python="3.12", extras=["a", "b"], offline=True, environ={"A": "", "P\u00e4": "\0e9"}),
    request(further_lock_files=["/a", "/caf\0e9"], member="/x/y", environ=None),
    request(groups=[], python="/caf\0e9/python", bytecode=False),
)
LEFT_TO_PYDANTIC = (
    b"",
    b"[]",
    b"{}",
    b"[" * 100_000,
    b'{"start": "/\\ud800"}',
    b'{"start": "\xff"}',
    *(
        request(**fields)
        for fields in (
            {"start": "x"},
            {"start": "/" + "x" * 4096},
            {"start": None},
            {"start": "/\0zz"},
            {"unknown": 1},
            {"offline": 1},
            {"offline": "true"},
            {"extras": "a"},
            {"extras": [""]},
            {"extras": ["a\n"]},
            {"extras": ["a"] * 1001},
            {"extras": [1]},
            {"python": ""},
            {"python": "3\n"},
            {"environ": {"A": 1}},
            {"environ": {"": "x"}},
            {"environ": {"A=B": "x"}},
            {"environ": {str(number): "" for number in range(10_001)}},
        )
    ),
)


@pytest.mark.parametrize("body", OURS)
def test_what_our_clients_send_is_read_as_pydantic_reads_it(body: bytes) -> None:
    found = read_message(WarmRequest, body)
    assert found == TypeAdapter(WarmRequest).validate_json(body)
    assert found is not None


@pytest.mark.parametrize("body", LEFT_TO_PYDANTIC, ids=lambda body: body[:40].decode("latin-1"))
def test_all_else_is_left_to_pydantic(body: bytes) -> None:
    assert read_message(WarmRequest, body) is None


@pytest.mark.parametrize("body", LEFT_TO_PYDANTIC, ids=lambda body: body[:40].decode("latin-1"))
def test_pydantic_refuses_all_of_it_but_what_only_has_another_type(body: bytes) -> None:
    try:
        lenient = TypeAdapter(WarmRequest).validate_json(body)
    except ValidationError:
        return
    assert lenient.offline


def test_what_a_command_sends_of_its_variables_is_not_shown() -> None:
    message = read_message(WarmRequest, request(environ={"TOKEN": "secret"}))
    assert message is not None
    assert "secret" not in repr(message)
