"""Whose files of this machine may be taken without a digest: ``storectl_shim.trust``, for the addresses of wheels."""

from collections.abc import Mapping

from storectl_daemon.network.address import Address
from storectl_shim.trust import check_owner
from storectl_store.projects.ownership import owner_errors


def check_unlocked(url: str, environ: Mapping[str, str]) -> None:
    """Check the owner of a file of this machine for which no digest is locked; other addresses are not checked.

    Raises ProjectOwnerError if the file is an untrusted user's.
    """
    address = Address(url)
    if address.is_file:
        with owner_errors():
            check_owner(str(address.path), environ)
