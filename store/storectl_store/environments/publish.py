"""Publish an environment: build the planned tree beside its final path, then rename it. No reader ever sees half of it.

    environments/.tmp-<random>/    being built; left behind by a crash, swept by ``recovery``
    environments/<id>/             published, read-only, never changed again

The paths inside (first lines of scripts, ``pyvenv.cfg``) are those of the final path. A damaged environment is built
once more, and the two change places in one step; the damaged one then goes to the quarantine.
"""

import dataclasses
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from storectl_store.disk.descriptors import opened_folder
from storectl_store.disk.durability import barrier, disk_errors, exchange, rename_noreplace
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.quarantine import Reason, set_aside
from storectl_store.entries.trash import delete_tree
from storectl_store.environments.planning.plan import EnvironmentPlan
from storectl_store.environments.shared_links import shared_links
from storectl_store.environments.spare_view import Spare, Spares, new_stage
from storectl_store.environments.view_builder import FOLDER_MODE, NOTHING, ViewBuilder
from storectl_store.errors import StoreError


class HasLayout(Protocol):
    """Anything that has the paths of a store, such as the store itself."""

    @property
    def layout(self) -> StoreLayout:
        """The paths of the store."""
        ...


def publish_environment(
    store: HasLayout,
    plan: EnvironmentPlan,
    *,
    extra_files: Mapping[str, bytes] | None = None,
    spares: Spares | None = None,
) -> Path:
    """Publish the planned environment, unless it is there already. Returns its folder.

    If ``spares`` has a view that is nearly the planned one, that is finished. A spare that is not what it was is
    dropped, and another view made.

    ``extra_files`` maps paths relative to the environment to contents that only the interpreter itself can make, such
    as the shim's bytecode. Raises StoreFullError or StoreError if the disk refuses, EnvironmentBuildError if an extra
    file would be outside of the environment.
    """
    if plan.path.is_dir():
        return plan.path
    if spares is not None and (spare := spares.take(plan)):
        with suppress(StoreError):
            _publish(store.layout, plan, extra_files or {}, _rename, spare=spare)
            return plan.path
    _publish(store.layout, plan, extra_files or {}, _rename)
    return plan.path


def republish_environment(
    store: HasLayout, plan: EnvironmentPlan, reason: Reason, *, extra_files: Mapping[str, bytes]
) -> None:
    """Make the environment anew in the place of a damaged one, which is set aside.

    Raises StoreFullError or StoreError if the disk refuses, EnvironmentBuildError if an extra file would be outside.
    """

    def replace(stage: Path, final: Path) -> None:
        if os.path.lexists(final):
            if not final.is_symlink() and final.is_dir():
                final.chmod(0o700)  # a folder that moves has to be writable
            exchange(stage, final)
            set_aside(store.layout, {final.name: stage}, dataclasses.replace(reason, was=(final,)))
        else:
            rename_noreplace(stage, final)
        final.chmod(FOLDER_MODE)

    _publish(store.layout, plan, extra_files, replace, share_copies=False)


def _publish(
    layout: StoreLayout,
    plan: EnvironmentPlan,
    extra_files: Mapping[str, bytes],
    place: Callable[[Path, Path], None],
    *,
    share_copies: bool = True,
    spare: Spare | None = None,
) -> None:
    """Build the environment beside its final path. Then ``place`` moves the finished folder there.

    Copies of files are those that other views have, or new ones if ``share_copies`` is false.
    """
    with disk_errors(f"publish the environment {plan.id}"), shared_links(layout.links) as links:
        stage, there = spare or (new_stage(layout), NOTHING)
        try:
            with opened_folder(stage) as view:
                builder = ViewBuilder(view, plan, extra_files, links, share_copies=share_copies)
                builder.show(there)
                builder.finish()
                # Without a barrier a power cut could show the folder with empty files in it, or without the names of
                # entries that were committed just now.
                barrier(stage)
                place(stage, plan.path)
                builder.keep_links()
        except BaseException:
            delete_tree(stage)
            raise


def _rename(stage: Path, final: Path) -> None:
    """Publish the folder; if another process was faster, delete it.

    Until here its top is writable, as macOS requires.
    """
    try:
        rename_noreplace(stage, final)
    except FileExistsError:
        delete_tree(stage)
        return
    final.chmod(FOLDER_MODE)
