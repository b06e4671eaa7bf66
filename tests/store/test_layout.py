"""The store's paths are joined in ``entries/`` alone: everything else asks the layout where a thing is."""

import ast
from collections.abc import Iterator
from pathlib import Path

from storectl_store.entries.layout import StoreLayout

ROOT = Path(__file__).parents[2]
PLACES = {name for name in vars(StoreLayout) if not name.startswith("_")}
KNOWN = {  # which files are in the folder of a record is the format of these modules
    "store/storectl_store/projects/history.py",
    "store/storectl_store/projects/prefetched.py",
    "store/storectl_store/projects/project_record.py",
}


def test_nobody_else_joins_paths_of_the_store() -> None:
    sources = [*ROOT.glob("store/storectl_store/**/*.py"), *ROOT.glob("daemon/storectl_daemon/**/*.py")]
    outside = [source for source in sources if "storectl_store/entries/" not in str(source)]
    assert {str(source.relative_to(ROOT)) for source in outside if list(_joins(source))} == KNOWN


def _joins(source: Path) -> Iterator[ast.expr]:
    """Every ``layout.place / …``, ``os.path.join(layout.place, …)`` and ``f"{layout.place}/…"``, but for prefixes."""
    for node in ast.walk(ast.parse(source.read_text())):
        match node:
            case ast.BinOp(left=left, op=ast.Div()) if _is_place(left):
                yield node
            case ast.Call(func=ast.Attribute(attr="join" | "joinpath" as name, value=base), args=[first, *_]):
                if _is_place(base if name == "joinpath" else first):
                    yield node
            case ast.JoinedStr(values=[ast.FormattedValue(value=value), ast.Constant(value=str(rest)), *_]):
                if _is_place(value) and rest.startswith("/") and rest != "/":
                    yield node


def _is_place(node: ast.expr) -> bool:
    match node:
        case ast.Call(func=function):
            return _is_place(function)
        case ast.Attribute(attr=name, value=ast.Name(id="layout" | "_layout")):
            return name in PLACES
        case ast.Attribute(attr=name, value=ast.Attribute(attr="layout" | "_layout")):
            return name in PLACES
    return False
