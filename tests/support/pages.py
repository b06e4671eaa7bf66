"""``python -m support.pages``: write the pages that are made of the commands themselves."""

from collections.abc import Callable, Mapping
from pathlib import Path

from storectl.cli import root
from support.json_page import json_page
from support.manual import manual

DOCS = Path(__file__).parents[2] / "docs"
PAGES: Mapping[str, Callable[[], str]] = {"storectl.1": lambda: manual(root), "json.md": json_page}

if __name__ == "__main__":
    for name, text in PAGES.items():
        (DOCS / name).write_text(text(), encoding="utf-8")
