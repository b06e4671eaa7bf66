"""Remarks: untidiness of a wheel that is no reason to refuse it. Each names the rule that the wheel breaks.

A deviation is refused if it can be an attack or damage: if two readers of the wheel could see two things, if bytes are
not the stated ones, or if something would land outside its place. Every other deviation is a remark. The rules, step by
step, with the wheels that show each of them, are in docs/wheel-checks.md.
"""

from enum import StrEnum

from storectl_store.errors import printable
from storectl_store.wheel.refusal import shown


class Rule(StrEnum):
    """The rules whose breach is a remark, not a refusal; the names are stable."""

    NAME_TRAILING = "W_NAME_TRAILING"
    MEMBER_REPEATED = "W_MEMBER_REPEATED"
    WHEEL_VERSION = "W_WHEEL_VERSION"
    WHEEL_PURELIB = "W_WHEEL_PURELIB"
    WHEEL_TAGS = "W_WHEEL_TAGS"
    META_REPEATED = "W_META_REPEATED"
    META_TEXT = "W_META_TEXT"
    RECORD_UNLISTED = "W_RECORD_UNLISTED"
    RECORD_ABSENT = "W_RECORD_ABSENT"
    RECORD_REPEATED = "W_RECORD_REPEATED"
    RECORD_ITSELF = "W_RECORD_ITSELF"
    RECORD_DIGEST = "W_RECORD_DIGEST"
    RECORD_SIZE = "W_RECORD_SIZE"
    SCRIPT_NAME = "W_SCRIPT_NAME"
    SCRIPT_INTERPRETER = "W_SCRIPT_INTERPRETER"
    SCRIPT_TARGET = "W_SCRIPT_TARGET"
    SCRIPT_REPEATED = "W_SCRIPT_REPEATED"


_SAID = {
    Rule.NAME_TRAILING: "an empty folder whose name ends with a dot or a space, and is not made",
    Rule.MEMBER_REPEATED: "the same file is in the wheel twice, and unpacked once",
    Rule.WHEEL_VERSION: "the wheel format it was made to, which is newer than 1.0",
    Rule.WHEEL_PURELIB: "what its WHEEL file has as Root-Is-Purelib, which is neither true nor false",
    Rule.WHEEL_TAGS: "what its WHEEL file has as tags, which are not those of its file name",
    Rule.META_REPEATED: "there twice, with one value",
    Rule.META_TEXT: "not UTF-8 text throughout",
    Rule.RECORD_UNLISTED: "not listed in RECORD, so nobody stated its digest",
    Rule.RECORD_ABSENT: "listed in RECORD and not in the wheel",
    Rule.RECORD_REPEATED: "listed twice in RECORD",
    Rule.RECORD_ITSELF: "listed in itself with a digest or a size, which cannot be right",
    Rule.RECORD_DIGEST: "listed in RECORD without a digest of sha256 or better",
    Rule.RECORD_SIZE: "listed in RECORD without a size",
    Rule.SCRIPT_NAME: "no name for a command, which is left out",
    Rule.SCRIPT_INTERPRETER: "would replace the interpreter, and is left out",
    Rule.SCRIPT_TARGET: "not module:function, and left out",
    Rule.SCRIPT_REPEATED: "declared twice: the last counts, a gui script before a console script",
}


class Remarks:
    """Collects the remarks on one wheel.

    A rule is reported once, with its first subject and the number of the others.
    """

    def __init__(self) -> None:
        self._subjects: dict[Rule, list[str]] = {}

    def note(self, rule: Rule, subject: str) -> None:
        """Note that ``subject`` (a path, a line, a value; untrusted) breaks the rule."""
        self._subjects.setdefault(rule, []).append(subject)

    def lines(self) -> tuple[str, ...]:
        """One printable line for each rule that is broken, in the order of the rules."""
        return tuple(_line(rule, self._subjects[rule]) for rule in Rule if rule in self._subjects)


def _line(rule: Rule, subjects: list[str]) -> str:
    more = f" and {len(subjects) - 1} more" if len(subjects) > 1 else ""
    return printable(f"{rule.value}: {shown(subjects[0])}{more}: {_SAID[rule]}")
