"""What goes over the socket is a dataclass. It is written and read here without pydantic, which FastAPI brings with it.

A daemon that only makes environments does without both: pydantic and its models took 14 MiB of 45. What counts beyond
the type of a field is in its annotation. Each such mark tells pydantic the same thing, once that is there.
"""

import dataclasses
import json
import re
from collections.abc import Callable, Hashable, Mapping
from functools import cache
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Protocol,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from storectl_shim.wire_text import encode_text

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler


class Sent(Protocol):
    """What can be sent as JSON."""

    def json_text(self) -> str:
        """As JSON, in one line."""


class Message:
    """The base of the dataclasses. A field nobody knows is an error, so that no option is ever silently ignored."""

    __slots__ = ()
    __pydantic_config__: ClassVar[Mapping[str, object]] = {"extra": "forbid", "hide_input_in_errors": True}

    def json_value(self) -> dict[str, Any]:
        """As values of JSON; paths are as ``wire_text`` says."""
        return {each.name: _json_value(getattr(self, each.name)) for each in dataclasses.fields(self)}  # type: ignore[arg-type]

    def json_text(self) -> str:
        """As JSON, in one line."""
        return json.dumps(self.json_value(), ensure_ascii=False, separators=(",", ":"))


M = TypeVar("M", bound=Message)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """How long a text, list or mapping may be, and what a text consists of: a pattern for all of it."""

    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None

    def read(self, value: Any) -> Any:
        """The value; ValueError if it is not like this."""
        size = len(value)
        if size < (self.min_length or 0) or (self.max_length is not None and size > self.max_length):
            raise ValueError("has another length")
        if self.pattern is not None and not re.fullmatch(self.pattern, value):
            raise ValueError("consists of something else")
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: "GetCoreSchemaHandler") -> Any:
        schema: Any = handler(source)
        schema.update({name: value for name, value in dataclasses.asdict(self).items() if value is not None})
        return schema


@dataclasses.dataclass(frozen=True, slots=True)
class Read:
    """What the value is read by: a function, which raises a ValueError that says what the value must be."""

    function: Callable[[Any], Any]

    def read(self, value: Any) -> Any:
        """What the function makes of the value."""
        return self.function(value)

    def __get_pydantic_core_schema__(self, source: Any, handler: "GetCoreSchemaHandler") -> Any:
        from pydantic import AfterValidator  # noqa: PLC0415 - only pydantic calls this

        return AfterValidator(self.function).__get_pydantic_core_schema__(source, handler)


@dataclasses.dataclass(frozen=True, slots=True)
class Shown:
    """A path in an answer, or text that may quote one."""

    def __get_pydantic_core_schema__(self, source: Any, handler: "GetCoreSchemaHandler") -> Any:
        from pydantic import PlainSerializer  # noqa: PLC0415 - as above

        return PlainSerializer(encode_text, return_type=str).__get_pydantic_core_schema__(source, handler)


def read_message(kind: type[M], body: bytes) -> M | None:
    """The message in this JSON; None unless it is exactly of the form that clients of ours send."""
    try:
        return _message(kind, json.loads(body))
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return None


def _message(kind: type[M], value: Any) -> M:
    hints = _hints(cast("Hashable", kind))
    return kind(**{name: _read(hints[name], each) for name, each in value.items()})


def _json_value(value: Any) -> Any:
    if isinstance(value, str):
        return encode_text(value)
    if isinstance(value, Message):
        return value.json_value()
    return [_json_value(each) for each in value] if isinstance(value, tuple) else value


@cache
def _hints(kind: Hashable) -> Mapping[str, Any]:
    """The annotation of each field of a dataclass."""
    return get_type_hints(kind, include_extras=True)


def _read(hint: Any, value: Any) -> Any:
    """The value of a field with this annotation; ValueError if it is none."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        value = _read(arguments[0], value)
        for mark in arguments[1:]:
            value = mark.read(value)
        return value
    if origin in (Union, UnionType) and arguments[1:] == (NoneType,):
        return None if value is None else _read(arguments[0], value)
    if origin is tuple and isinstance(value, list):
        return tuple(_read(arguments[0], each) for each in value)
    if hint == dict[str, str] and isinstance(value, dict):
        return {_read(str, name): _read(str, each) for name, each in value.items()}
    if isinstance(hint, type) and issubclass(hint, Message):
        return _message(hint, value)
    if hint in (str, bool, int) and type(value) is hint:
        if hint is str:
            value.encode()  # a surrogate stands for no character
        return value
    raise ValueError("has another form")
