"""Layers for tests: a store in a folder, shown below an own store that is empty or has some of its entries."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from storectl_store.entries.layer_settings import LayerSettings
from storectl_store.entries.layers import Layer, open_layer

_STARTS = 6
STRANGER = 54321
"""An account that is neither root's nor this user's."""


def layer_at(root: Path, *, owner: str | None = None) -> Layer:
    """The layer in this folder."""
    return open_layer(LayerSettings(path=root, owner=owner))


def started(storectl: Callable[..., CompletedProcess[str]], **options: Any) -> None:
    """Have the daemon of this user run: a machine with much to do may take longer for it than a command waits."""
    for _ in range(_STARTS):
        if storectl("daemon", "start", **options).returncode == 0:
            return
    raise AssertionError("the daemon does not start")


def write_config(folder: Path, *layers: Path, further: Sequence[str] = ()) -> Path:
    """A file of settings in this folder that names these layers; ``further`` are lines for the last one."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [line for layer in layers for line in ("[[layers]]", f'path = "{layer}"')]
    file = folder / "config.toml"
    file.write_text("\n".join([*lines, *further, ""]))
    file.chmod(0o644)
    return file


def give_tree(root: Path, uid: int) -> None:
    """Give everything below the folder, and itself, to this account."""
    os.chown(root, uid, uid)
    for parent, folders, files in os.walk(root):
        for name in (*folders, *files):
            os.chown(Path(parent, name), uid, uid, follow_symlinks=False)
