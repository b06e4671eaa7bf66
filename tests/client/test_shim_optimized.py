"""Runs with ``-O``: the store has bytecode without it only, so that of a user is kept in the user's cache."""

import os
from pathlib import Path

import pytest

from support.views import View, build_view, every_python
from support.wheels import make_wheel

WHEEL = make_wheel(
    "alpha",
    files={"alpha/__init__.py": "def f():\n    'said'\n    assert False\n    return 1\n", "alpha/bad.py": "1 +\n"},
)
REPORT = """
import json, sys
compiled = []
sys.addaudithook(lambda event, args: event == "compile" and "/alpha/" in str(args[1]) and compiled.append(args[1]))
import alpha
print(json.dumps([alpha.f(), alpha.f.__doc__, alpha.f.__code__.co_filename, alpha.__cached__, len(compiled)]))
"""


@pytest.fixture(params=every_python())
def view(request: pytest.FixtureRequest, tmp_path: Path) -> View:
    return build_view(tmp_path.resolve() / "view", [WHEEL], request.param)


def report(view: View, *flags: str, **environ: str) -> list[object]:
    found = view.json(REPORT, *flags, environ={"PYTHONDONTWRITEBYTECODE": "", **environ})
    assert isinstance(found, list)
    return found


def kept_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.pyc") if "alpha" in str(path))


@pytest.mark.parametrize(("flag", "level", "doc"), [("-O", 1, "said"), ("-OO", 2, None)])
def test_a_module_is_compiled_once_for_each_level(
    view: View, tmp_path: Path, flag: str, level: int, doc: str | None
) -> None:
    source = view.site_packages / "alpha/__init__.py"
    cached = source.parent / f"__pycache__/__init__.{view.python.cache_tag}.opt-{level}.pyc"
    for compilations in (1, 0):
        shown = report(view, flag, HOME=str(tmp_path / "home"))
        assert shown == [1, doc, str(source), str(cached), compilations]
    (kept,) = kept_in(tmp_path / "home/.cache/storectl/bytecode")
    assert str(kept).endswith(str(cached))
    assert not cached.exists()


def test_a_cache_of_one_s_own_is_used(view: View, tmp_path: Path) -> None:
    report(view, "-O", HOME=str(tmp_path / "home"), XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert kept_in(tmp_path / "cache/storectl")
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("content", [b"", b"torn", None], ids=["empty", "torn", "cut"])
def test_what_is_torn_is_compiled_again(view: View, tmp_path: Path, content: bytes | None) -> None:
    home = str(tmp_path / "home")
    report(view, "-O", HOME=home)
    (kept,) = kept_in(tmp_path / "home")
    whole = kept.read_bytes()
    os.chmod(kept, 0o600)
    kept.write_bytes(whole[:30] if content is None else content)
    assert report(view, "-O", HOME=home)[-1] == 1
    assert report(view, "-O", HOME=home)[-1] == 0


def test_nothing_is_kept_where_nothing_may_be_written_or_nobody_is_at_home(view: View, tmp_path: Path) -> None:
    assert report(view, "-O", "-B", HOME=str(tmp_path / "home"))[0] == 1
    assert report(view, "-O", HOME=os.devnull)[0] == 1
    assert report(view, "-O")[0] == 1
    assert not (tmp_path / "home").exists()


def test_a_module_that_cannot_be_compiled_fails_as_without_the_flag(view: View, tmp_path: Path) -> None:
    shown = [
        view.run(
            *flags, "-c", "import alpha.bad", environ={"HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": ""}
        ).stderr
        for flags in ((), ("-O",))
    ]
    assert shown[0] == shown[1]
    assert "SyntaxError" in shown[1]


def test_without_the_flag_nothing_is_kept(view: View, tmp_path: Path) -> None:
    done = view.run("-c", REPORT, environ={"HOME": str(tmp_path / "home"), "PYTHONDONTWRITEBYTECODE": ""})
    assert "AssertionError" in done.stderr
    assert not (tmp_path / "home").exists()
