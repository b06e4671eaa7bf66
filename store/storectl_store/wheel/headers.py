"""Header files: WHEEL and METADATA, lines of ``Name: value`` as in a mail (PEP 427, core metadata specification)."""

import re
from email.parser import HeaderParser

from storectl_store.wheel.refusal import Code, refused
from storectl_store.wheel.remarks import Remarks, Rule

_LONGEST_HEAD = 1 << 20
_BODY = re.compile(r"\r?\n\r?\n|\r\r")
_PARSER = HeaderParser()


class Headers:
    """The headers of one file; ``member`` is its name in the archive.

    ``lenient`` is for a file with a long text behind its headers. Bytes there that are not UTF-8 become U+FFFD, and
    they or a NUL in the text are a remark.
    """

    def __init__(self, content: bytes, member: str, remarks: Remarks, *, lenient: bool = False) -> None:
        self.member = member
        self._remarks = remarks
        self._message = _PARSER.parsestr(self._head(self._text(content, lenient=lenient), lenient=lenient))

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of a header, with folded lines joined by one space; empty if there is none."""
        values: list[str] = self._message.get_all(name, [])
        return tuple(" ".join(value.split()) for value in values)

    def one(self, name: str) -> str:
        """The value of a header that has to be there.

        Raises E_WHEEL_META if it is missing, or has two different values.
        """
        values = self.all(name)
        if len(set(values)) != 1 or not values[0]:
            count = "no" if not any(values) else "more than one"
            raise refused(Code.META, f"{self.member} has {count} {name}", member=self.member)
        if len(values) > 1:
            self._remarks.note(Rule.META_REPEATED, f"{self.member}: {name}")
        return values[0]

    def _text(self, content: bytes, *, lenient: bool) -> str:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            if not lenient:
                raise refused(Code.META, f"{self.member} is not UTF-8", member=self.member) from None
            self._remarks.note(Rule.META_TEXT, self.member)
            text = content.decode("utf-8-sig", "replace")
        if not text.strip():
            raise refused(Code.META, f"{self.member} is empty", member=self.member)
        return text

    def _head(self, text: str, *, lenient: bool) -> str:
        """The text before the first empty line. Raises E_WHEEL_META if it is too long or binary."""
        body = _BODY.search(text)
        head = text[: body.start() + 1] if body else text
        if len(head) > _LONGEST_HEAD:
            message = f"{self.member} has headers of more than {_LONGEST_HEAD} characters"
            raise refused(Code.META, message, member=self.member)
        if "\0" in head or ("\0" in text and not lenient):
            raise refused(Code.META, f"{self.member} is binary", member=self.member)
        if "\0" in text:
            self._remarks.note(Rule.META_TEXT, self.member)
        return head
