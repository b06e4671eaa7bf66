"""The file ``layers`` of a view: what is written is read, and what is damaged is said to be."""

from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from storectl_store.digest import digest_of_hex
from storectl_store.environments.layers_record import LinkedEntry, encode_layers, layer_roots, read_layers
from storectl_store.errors import StoreFormatError

LINKED = (
    LinkedEntry(name=canonicalize_name("alpha"), digest=digest_of_hex("aa" * 32), root=Path("/srv/a b")),
    LinkedEntry(name=canonicalize_name("beta"), digest=digest_of_hex("bb" * 32), root=Path("/srv/a b")),
    LinkedEntry(name=canonicalize_name("alps"), digest=digest_of_hex("cc" * 32), root=Path("/srv/ö")),
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    (tmp_path / "layers").write_bytes(encode_layers(reversed(LINKED)))
    assert read_layers(tmp_path) == LINKED
    assert layer_roots(tmp_path) == (Path("/srv/a b"), Path("/srv/ö"))


def test_a_view_without_the_file_leads_nowhere_else(tmp_path: Path) -> None:
    assert read_layers(tmp_path) == ()


@pytest.mark.parametrize("cut", [0, 5, 17, 20, -1, -20])
def test_a_file_that_is_cut_off_is_an_error(tmp_path: Path, cut: int) -> None:
    (tmp_path / "layers").write_bytes(encode_layers(LINKED)[:cut])
    with pytest.raises(StoreFormatError, match="cannot be used") as caught:
        read_layers(tmp_path)
    assert caught.value.hint


@pytest.mark.parametrize(
    "text",
    [f"storectl layers 2\n/a\nalpha sha256:{'aa' * 32}\n", f"storectl layers 1\nalpha sha256:{'aa' * 32}\n",
     "storectl layers 1\n/a\nalpha sha256:aa\n", f"storectl layers 1\n/a\nsha256:{'aa' * 32}\n"],
)  # fmt: skip
def test_a_malformed_file_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "layers").write_text(text)
    with pytest.raises(StoreFormatError):
        read_layers(tmp_path)
