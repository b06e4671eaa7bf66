"""What direct_url.json says of where a project comes from."""

import pytest

from storectl_store.selection.origins import folder_origin


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ("plain-1.0_x", "plain-1.0_x"),
        ("o'b $x", "o'b%20$x"),
        ("[a]|&c=+,;@~^(1)!*:", "[a]|&c=+,;@~^(1)!*:"),
        ('`{}%"<>#?', "%60%7B%7D%25%22%3C%3E%23%3F"),
        ("é", "%C3%A9"),
    ],
)
def test_the_address_of_a_folder_is_quoted_as_uv_quotes_it(name: str, quoted: str) -> None:
    origin = folder_origin(f"/projects/{name}", editable=True)
    assert origin.to_dict() == {"url": f"file:///projects/{quoted}", "dir_info": {"editable": True}}
    assert folder_origin("/projects", editable=False).to_dict() == {"url": "file:///projects", "dir_info": {}}
