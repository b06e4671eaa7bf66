import pytest

from storectl_store.wheel.names import fault_of


@pytest.mark.parametrize(
    "path",
    [
        "a",
        ".hidden/..double/...x",
        "a b/ c.py",
        "pkg/файл-日本.txt",
        "a" * 255,
        "/".join(["a" * 127] * 4),
        "xy:z/10:2",
        "ünï/🐍.py",
        "a~b/c#d/e%f/g'h/i,j/k;l/m=n/o@p",
    ],
)
def test_ordinary_and_odd_names_are_fine(path: str) -> None:
    assert fault_of(path) is None


@pytest.mark.parametrize("path", ["a/...", "a./b", "a /b", "a/b ", "..a./b"])
def test_a_part_that_ends_with_a_dot_or_a_space_is_a_fault(path: str) -> None:
    assert "ends with" in (fault_of(path) or "")


@pytest.mark.parametrize("character", [*map(chr, range(32)), "\x7f", "\x85", "\u200f", "\u2066", "\u2029", "\ufeff"])
def test_every_character_that_steers_a_terminal_is_a_fault(character: str) -> None:
    assert fault_of(f"a{character}b") == "has control or invisible characters"


@pytest.mark.parametrize("path", ["a" * 256, "é" * 128, "a/" + "b" * 256])
def test_a_part_is_measured_in_bytes(path: str) -> None:
    assert "255 bytes" in (fault_of(path) or "")
