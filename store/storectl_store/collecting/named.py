"""Named: which entries the environments name that are there at this moment."""

import os
from contextlib import suppress

from storectl_store.collecting.inventory import named_by
from storectl_store.digest import Digest, EnvironmentId, is_environment_id
from storectl_store.entries.layout import UNPUBLISHED, StoreLayout


class Named:
    """The entries that an environment names, or has named since the first look.

    What has gone meanwhile still counts: a power cut could bring it back.
    """

    def __init__(self, layout: StoreLayout) -> None:
        self._layout = layout
        self._looked_at: set[str] = set()
        self._digests: set[Digest] = set()
        self._unreadable = False

    def look(self) -> None:
        """See which environments have come. Raises OSError if one of them cannot be looked at."""
        come = set(os.listdir(self._layout.environments)) - self._looked_at
        for name in come:
            if not name.startswith(UNPUBLISHED):
                with suppress(FileNotFoundError, NotADirectoryError):
                    self._add(name)
            self._looked_at.add(name)

    def is_named(self, digest: Digest) -> bool:
        """Whether an environment names this entry, or may do so, since its record cannot be read."""
        return self._unreadable or digest in self._digests

    def _add(self, name: str) -> None:
        digests = named_by(self._layout.environment(EnvironmentId(name)))
        if digests is not None:
            self._digests |= digests
        elif is_environment_id(name):
            self._unreadable = True
