"""Roots: the reasons why environments and entries are kept. Values only; the daemon gathers them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from storectl_store.digest import Digest, EnvironmentId

RootKind = Literal["current", "front", "generation", "prefetch", "pin", "user", "hold", "lease", "young"]
"""What keeps something.

``current``: a project's record. ``front``: a linked ``.venv``. ``generation``: a project's history. ``prefetch``: a
branch that was fetched. ``pin``: a person. ``user``: what one of many users has. ``hold``: a warm that is under way.
``lease``: a program that runs. ``young``: it was published just now.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """One reason to keep an environment with its entries, or one entry: exactly one of the two is not None.

    ``project`` is the folder that it belongs to, None if it belongs to none. ``detail`` are words for a person, such as
    ``uv.lock, current, branch main``. ``until`` is a time in seconds of the system clock, None for no end.
    """

    kind: RootKind
    environment: EnvironmentId | None = None
    digest: Digest | None = None
    project: Path | None = None
    detail: str = ""
    until: float | None = None
