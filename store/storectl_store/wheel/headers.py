"""Header files: WHEEL and METADATA, lines of ``Name: value`` as in a mail (PEP 427, core metadata specification)."""

import re
from email.parser import HeaderParser

from storectl_store.wheel.refusal import Code, refused

_LONGEST_HEAD = 1 << 20
_BODY = re.compile(r"\r?\n\r?\n|\r\r")
_PARSER = HeaderParser()


class Headers:
    """The headers of one file; ``member`` is its name in the archive."""

    def __init__(self, content: bytes, member: str) -> None:
        self.member = member
        self._message = _PARSER.parsestr(_head(_text(content, member), member))

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of a header, folded lines joined by one space."""
        values: list[str] = self._message.get_all(name, [])
        return tuple(" ".join(value.split()) for value in values)

    def one(self, name: str) -> str:
        """The value of a header that has to be there once; E_WHEEL_META otherwise."""
        values = self.all(name)
        if len(values) != 1 or not values[0]:
            count = "no" if not any(values) else "more than one"
            raise refused(Code.META, f"{self.member} has {count} {name}", member=self.member)
        return values[0]


def _text(content: bytes, member: str) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise refused(Code.META, f"{member} is not UTF-8", member=member) from None
    if not text.strip() or "\0" in text:
        raise refused(Code.META, f"{member} is empty or binary", member=member)
    return text


def _head(text: str, member: str) -> str:
    """The text before the first empty line."""
    body = _BODY.search(text)
    head = text[: body.start() + 1] if body else text
    if len(head) > _LONGEST_HEAD:
        raise refused(Code.META, f"{member} has headers of more than {_LONGEST_HEAD} characters", member=member)
    return head
