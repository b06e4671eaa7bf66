"""``[tool.uv] cache-keys``: what they name, and that a malformed one is refused by name. What matches was tried with uv."""

import tomllib

import pytest

from storectl_store.errors import EnvironmentBuildError
from storectl_store.projects.cache_keys import CacheKeys, base_of, cache_keys, pattern_regex


def keys_of(value: str) -> CacheKeys:
    return cache_keys(tomllib.loads(f"[tool.uv]\ncache-keys = {value}\n"), "/p/pyproject.toml")


def test_a_project_without_cache_keys_has_none() -> None:
    assert cache_keys({}, "/p/pyproject.toml") == CacheKeys()


def test_each_kind_of_key_is_read() -> None:
    assert keys_of(
        '["VERSION", { file = "src/*.c" }, { dir = "src" }, { env = "CFLAGS" }, { git = true }]'
    ) == CacheKeys(files=("VERSION", "src/*.c"), folders=("src",), variables=("CFLAGS",), commit=True)


@pytest.mark.parametrize(
    ("git", "expected"),
    [
        ("true", (True, False)),
        ("false", (False, False)),
        ("{ commit = true, tags = true }", (True, True)),
        ("{ tags = true }", (False, True)),
        ("{ commit = false }", (False, False)),
    ],
)
def test_git_means_its_commit_unless_it_says_more(git: str, expected: tuple[bool, bool]) -> None:
    found = keys_of(f"[{{ git = {git} }}]")
    assert (found.commit, found.tags) == expected


@pytest.mark.parametrize(
    "value",
    [
        '"VERSION"',
        "[3]",
        "[{ file = 3 }]",
        '[{ file = "a", dir = "b" }]',
        '[{ folder = "a" }]',
        '[{ file = "" }]',
        "[{ git = { branch = true } }]",
        '[{ git = "main" }]',
        "[{ git = { tags = 1 } }]",
        "[[]]",
    ],
)
def test_a_malformed_key_is_refused_by_name(value: str) -> None:
    with pytest.raises(EnvironmentBuildError, match=r"/p/pyproject\.toml: `tool\.uv\.cache-keys`"):
        keys_of(value)


@pytest.mark.parametrize(
    ("pattern", "matches", "others"),
    [
        ("*.txt", ["a.txt", "sub/deep/b.txt"], ["a.txt~", "atxt"]),
        ("**/*.txt", ["a.txt", "sub/deep/b.txt"], ["a.c"]),
        ("sub/**/x.c", ["sub/x.c", "sub/deep/x.c"], ["x.c", "sub/yx.c"]),
        ("{a,b}.txt", ["a.txt", "b.txt"], ["c.txt", "{a,b}.txt"]),
        ("[ab]?.txt", ["a1.txt"], ["c1.txt", "a.txt"]),
        ("[!ab].txt", ["c.txt"], ["a.txt"]),
        ("a[[]b", ["a[b"], ["ab"]),
        ("a+(b)*", ["a+(b)", "a+(b)c"], ["aab"]),
    ],
)
def test_a_pattern_matches_what_it_matches_for_uv(pattern: str, matches: list[str], others: list[str]) -> None:
    regex = pattern_regex(pattern)
    assert [name for name in [*matches, *others] if regex.fullmatch(name)] == matches


@pytest.mark.parametrize(
    ("pattern", "base", "rest"),
    [
        ("*.c", ".", "*.c"),
        ("src/a/*.c", "src/a", "*.c"),
        ("../*/x", "..", "*/x"),
        ("/etc/*.c", "/etc", "*.c"),
        ("/*.c", "/", "*.c"),
        ("{a,b}/c", ".", "{a,b}/c"),
    ],
)
def test_a_pattern_is_looked_for_below_its_fixed_part(pattern: str, base: str, rest: str) -> None:
    assert base_of(pattern) == (base, rest)


def test_a_pattern_that_stands_for_too_many_is_refused() -> None:
    with pytest.raises(EnvironmentBuildError, match="more than 1000 patterns"):
        pattern_regex("{a,b}" * 12)


def test_a_class_without_meaning_is_refused() -> None:
    with pytest.raises(EnvironmentBuildError, match="no pattern"):
        pattern_regex("[z-a]")
