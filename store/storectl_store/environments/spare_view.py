"""A view that is made ahead: all of an environment that does not depend on its path, for the next one like it.

Most of what a view consists of are folders, links and copies, and most of them are the same in the next environment of
a project. A view of them lies beside the published ones (``.tmp-<random>``), like any that is not published yet. What
is published next takes it, changes what differs, and adds the rest. ``recovery`` sweeps what a crash leaves.
"""

import tempfile
import threading
from contextlib import suppress
from pathlib import Path

from storectl_store.disk.descriptors import opened_folder
from storectl_store.disk.durability import barrier, disk_errors
from storectl_store.entries.layout import UNPUBLISHED, StoreLayout
from storectl_store.entries.trash import delete_tree, discard
from storectl_store.environments.planning.plan import EnvironmentPlan
from storectl_store.environments.shared_links import shared_links
from storectl_store.environments.view_builder import Shown, ViewBuilder

FEWEST_LEAVES = 500
"""Links and copies of a view below which it is not worth to make it ahead: some 70 wheels."""

_MOST_CHANGED = 8
"""At most one in so many links and copies may differ."""

Spare = tuple[Path, Shown]
"""The folder of a view made ahead, and what it shows."""


def new_stage(layout: StoreLayout) -> Path:
    """A folder for a view that is not published yet."""
    layout.environments.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=UNPUBLISHED, dir=layout.environments))


class Spares:
    """Keeps one view that is made ahead. Threads may share it.

    ``made_for`` is the id of the environment of which the last one was made, whether anything has taken it or not.
    """

    def __init__(self, layout: StoreLayout, *, fewest_leaves: int = FEWEST_LEAVES) -> None:
        self._layout = layout
        self._fewest_leaves = fewest_leaves
        self._spare: Spare | None = None
        self._lock = threading.Lock()
        self._closed = False
        self.made_for = ""

    def make(self, plan: EnvironmentPlan) -> None:
        """Make a view like the planned one, in the place of any other. Raises StoreError if the disk refuses.

        A small one is not made.
        """
        for unused in self._replaced(None):
            delete_tree(unused)
        self.made_for = plan.id
        if len(plan.links) + len(plan.same_files) < self._fewest_leaves:
            return
        with disk_errors("make a view ahead"), shared_links(self._layout.links) as links:
            stage = new_stage(self._layout)
            try:
                with opened_folder(stage) as view:
                    builder = ViewBuilder(view, plan, {}, links, share_copies=True)
                    builder.show()
                    shown = builder.shown()
                    barrier(stage)  # so that what takes it has little to wait for
                    builder.keep_links()
            except BaseException:
                delete_tree(stage)
                raise
        for unused in self._replaced((stage, shown)):
            delete_tree(unused)

    def take(self, plan: EnvironmentPlan) -> Spare | None:
        """The view made ahead, if it is nearly the planned one. It belongs to who takes it."""
        with self._lock:
            spare = self._spare
            if spare is None or not _is_near(spare[1], plan):
                return None
            self._spare = None
            return spare

    def close(self) -> None:
        """Move the view into the trash, if there is one. No other is kept after this."""
        self._closed = True
        for stage in self._replaced(None):
            with suppress(OSError):  # recovery sweeps it
                discard(self._layout, stage, kind="environment")

    def _replaced(self, spare: Spare | None) -> list[Path]:
        """Keep this view, unless closed. Returns the folders of those that are not kept."""
        with self._lock:
            unused = [self._spare] if self._spare else []
            if self._closed and spare:
                unused.append(spare)
            self._spare = None if self._closed else spare
        return [stage for stage, _ in unused]


def _is_near(shown: Shown, plan: EnvironmentPlan) -> bool:
    leaves = len(plan.links) + len(plan.same_files)
    same = sum(shown.leaves.get(link.path) == link for link in plan.links)
    same += sum(shown.leaves.get(file.path) == file for file in plan.same_files)
    return max(leaves, len(shown.leaves)) - same <= leaves // _MOST_CHANGED
