"""A store for every account of a machine or image: its owner makes the environments, and the others run them.

The files in a store can be read by all. A store is private only because other accounts cannot enter its folder.
Sharing lets them enter, and closes the folders inside that only the owner needs. Only the owner can write there,
before and after.
"""

import os
import stat

from storectl.errors import SharedStoreError, StoreOwnerError
from storectl_shim.trust import user_name

_PRIVATE = ("builds", "git", "quarantine", "state", "tmp", "trash", "urls")
"""Folders of the store that say where packages came from, or hold what is not finished."""


def check_reachable(path: str, what: str, hint: str) -> None:
    """SharedStoreError if another account cannot reach this file or folder, or what it is a link to."""
    for each in (os.path.abspath(path), os.path.realpath(path)):
        folder = os.path.dirname(each)
        while True:
            if os.path.isdir(folder) and not os.stat(folder).st_mode & stat.S_IXOTH:
                raise SharedStoreError(
                    f"{what} {each} is in {folder}, which no other account can enter", hint=hint, path=folder
                )
            if folder == os.path.dirname(folder):
                break
            folder = os.path.dirname(folder)


def check_place(store: str) -> None:
    """SharedStoreError if other accounts cannot reach the store: to be asked before it is filled."""
    check_reachable(store, "the store", "set STORECTL_STORE to a folder such as /opt/storectl")


def share_store(store: str, interpreter: str) -> None:
    """Let every account read the store. ``interpreter`` is the one that the environment's programs run in."""
    owner = os.stat(store).st_uid
    if owner != os.geteuid():
        raise StoreOwnerError(f"the store {store} belongs to {user_name(owner)}", hint="only its owner can share it")
    check_reachable(
        interpreter, "the interpreter", "choose one that everybody can run: -p /usr/bin/python3, or the image's own"
    )
    for name in _PRIVATE:
        folder = os.path.join(store, name)
        if os.path.isdir(folder):
            os.chmod(folder, 0o700)
    os.chmod(os.path.join(store, "VERSION"), 0o644)  # a store whose format cannot be read is no layer of anybody
    os.chmod(store, 0o755)  # noqa: S103 - that everybody can read it is what was asked for
