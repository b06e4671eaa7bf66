"""What differs between two environments, and which of it is meant to."""

import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Side = Literal["only_venv", "only_storectl", "both"]
Found = Mapping[str, Any]
"""What one environment holds: ``section/key`` to a JSON value."""

RULES = Path(__file__).with_name("differences.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One key whose values are not equal. ``venv`` and ``storectl`` are None where the key is not there."""

    key: str
    side: Side
    venv: Any
    storectl: Any

    @property
    def section(self) -> str:
        return self.key.partition("/")[0]

    def __str__(self) -> str:
        return f"{self.key}: venv {_short(self.venv)}, storectl {_short(self.storectl)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Differences that are by design."""

    key: re.Pattern[str]
    side: Side
    reason: str

    def explains(self, difference: Difference) -> bool:
        return self.side == difference.side and self.key.fullmatch(difference.key) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two environments compared. ``compared`` and ``equal`` count keys by section."""

    compared: Counter[str]
    equal: Counter[str]
    explained: tuple[tuple[Difference, Rule], ...]
    unexplained: tuple[Difference, ...]


def read_rules(file: Path = RULES) -> tuple[Rule, ...]:
    """The rules of the one file that lists them."""
    rules = tomllib.loads(file.read_text())["rule"]
    return tuple(Rule(key=re.compile(rule["key"]), side=rule["side"], reason=rule["reason"]) for rule in rules)


def compare(venv: Found, storectl: Found, rules: Iterable[Rule]) -> Comparison:
    """Every key of either side."""
    rules = tuple(rules)
    differences = [
        Difference(key=key, side=_side(key, venv, storectl), venv=venv.get(key), storectl=storectl.get(key))
        for key in sorted({*venv, *storectl})
        if key not in venv or key not in storectl or venv[key] != storectl[key]
    ]
    explained = [(d, next((rule for rule in rules if rule.explains(d)), None)) for d in differences]
    compared = Counter(key.partition("/")[0] for key in {*venv, *storectl})
    return Comparison(
        compared=compared,
        equal=compared - Counter(difference.section for difference in differences),
        explained=tuple((difference, rule) for difference, rule in explained if rule is not None),
        unexplained=tuple(difference for difference, rule in explained if rule is None),
    )


def _side(key: str, venv: Found, storectl: Found) -> Side:
    if key not in storectl:
        return "only_venv"
    return "both" if key in venv else "only_storectl"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:300]}…"
