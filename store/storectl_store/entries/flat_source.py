"""``flat_source`` among the metadata of an editable wheel: a folder that is a package itself, under another name.

Two lines of text: the name of the package, and the absolute path of its folder. An environment shows the folder as a
link of that name in ``lib/pythonX.Y/flat-source/``, which a ``.pth`` file of the wheel puts on the path.
"""

import os

FLAT_SOURCE = "flat_source"
FLAT_FOLDER = "flat-source"
PTH_LINE = f"../{FLAT_FOLDER}\n".encode()
"""The line of the ``.pth`` file, which is relative to site-packages."""


def encode_flat_source(package: str, folder: str) -> bytes:
    """The content of the file."""
    return os.fsencode(f"{package}\n{folder}\n")


def decode_flat_source(content: bytes) -> tuple[str, str] | None:
    """The name of the package and its folder; None if the file is something else of the same name."""
    package, _, folder = os.fsdecode(content).partition("\n")
    folder = folder.removesuffix("\n")
    return (package, folder) if package.isidentifier() and os.path.isabs(folder) and "\n" not in folder else None
