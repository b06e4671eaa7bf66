"""What commands check before they start a daemon: whether this user can write the store, or make it."""

import os

from storectl.errors import DaemonStartError, StoreOwnerError
from storectl_shim.locations import can_keep
from storectl_shim.trust import user_name

OF_A_STORE = ("VERSION", ".VERSION.", "start.lock", "state")
"""Before a folder is a store, only names with these beginnings stand in it."""


def check_store_owner(store: str) -> None:
    """StoreOwnerError if the store is another user's: root could use his daemon, and run what he has put there."""
    try:
        owner = os.stat(store).st_uid
    except OSError:
        return
    if owner != os.geteuid():
        raise _of_another(store, owner)


def own_store(store: str) -> None:
    """Make the folder of the store (0700) if it is not there.

    StoreOwnerError if it is another user's, or root would leave it in another user's folder; DaemonStartError if the
    system does not let this user write there.
    """
    check_store_owner(store)
    if not os.path.exists(store):
        _make(store)
    elif not os.access(store, os.W_OK | os.X_OK):
        raise _not_writable(store)


def may_be_store(store: str) -> bool:
    """Whether the folder is a store, or may become one. In any other folder nothing may be left."""
    names = os.listdir(store)
    return "VERSION" in names or all(name.startswith(OF_A_STORE) for name in names)


def _make(store: str) -> None:
    parent = _nearest(store)
    owner = os.stat(parent).st_uid
    if os.geteuid() == 0 and owner != 0:
        raise StoreOwnerError(
            f"the store {store} would be root's in a folder of {user_name(owner)}, who could not change it any more",
            hint="use sudo -H, or set STORECTL_STORE to a folder of root's own",
            path=store,
            owner=owner,
        )
    if not can_keep(store):
        raise _not_writable(store)
    os.makedirs(store, mode=0o700, exist_ok=True)


def _nearest(folder: str) -> str:
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return folder


def _of_another(store: str, owner: int) -> StoreOwnerError:
    hint = "what is ready in it can be run; to make more, set STORECTL_STORE to a folder of your own"
    if owner == 0 and os.stat(os.path.dirname(store)).st_uid == os.geteuid():
        hint = f"if a command under sudo made it: sudo chown -R {os.geteuid()}:{os.getegid()} {store}"
    elif os.geteuid() == 0:
        hint = f"run this as {user_name(owner)}, or set STORECTL_STORE to a folder of root's own"
    return StoreOwnerError(
        f"the store {store} belongs to {user_name(owner)}: only its owner makes environments in it",
        hint=hint,
        path=store,
        owner=owner,
    )


def _not_writable(store: str) -> DaemonStartError:
    return DaemonStartError(
        f"the store {store} cannot be written by {user_name(os.geteuid())}",
        hint="what is ready can be run; to make more, set STORECTL_STORE to a folder of your own",
    )
