"""The generation of a store that others read: a file ``GENERATION`` that is replaced after something has gone.

    storectl-generation 1 <32 hex digits>

Who recorded an environment of the store has a stamp of the file. If it is another one, the environment may have gone:
the next start looks for itself. So it is replaced after the last thing has gone, and before what went is deleted.
"""

import secrets

from storectl_store.disk.durability import disk_errors
from storectl_store.disk.whole_files import replace_file
from storectl_store.entries.layout import StoreLayout

_MODE = 0o644


def renew_generation(layout: StoreLayout) -> None:
    """Replace the file, durably; it is made if there is none. Raises StoreError if the disk refuses."""
    content = f"storectl-generation 1 {secrets.token_hex(16)}\n"
    with disk_errors(f"write {layout.generation}"):
        replace_file(layout.generation, content.encode(), mode=_MODE, synced=True)
