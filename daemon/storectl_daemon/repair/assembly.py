"""The parts of a repair, put together from those of the daemon."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from storectl_daemon.build import EnvironmentBuild
from storectl_daemon.bytecode import Compiler
from storectl_daemon.events import EventBus
from storectl_daemon.interpreters import InterpreterBook
from storectl_daemon.loading import Loaded
from storectl_daemon.options import Job
from storectl_daemon.pipeline import Pipeline
from storectl_daemon.project_files import DiskProjectFiles
from storectl_daemon.projects import ProjectBook
from storectl_daemon.publishing import Publishing
from storectl_daemon.repair.addresses import Addresses
from storectl_daemon.repair.entry_part import EntryPart
from storectl_daemon.repair.examined import Order
from storectl_daemon.repair.repairer import Repairer
from storectl_daemon.repair.users import Users
from storectl_daemon.repair.view_part import ViewPart
from storectl_daemon.warm import Warmer
from storectl_store.entries.store import Store
from storectl_store.entries.writer import Writer
from storectl_store.selection.pin import Pin


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonParts:
    """What a repair needs of the daemon."""

    store: Store
    writer: Writer
    book: ProjectBook
    warmer: Warmer
    bus: EventBus
    files: DiskProjectFiles
    build: Loaded[EnvironmentBuild]
    pipeline: Pipeline
    compiler: Compiler
    publishing: Publishing


def assemble(daemon: DaemonParts) -> Repairer:
    """The repairer of this daemon."""
    layout = daemon.store.layout
    users = Users(layout, daemon.book, daemon.warmer, daemon.bus)
    interpreters = InterpreterBook(layout.interpreters)

    async def pins_of(job: Job) -> Sequence[Pin]:
        build = await daemon.build.get()
        return await build.pins(job, await asyncio.to_thread(daemon.files.read, job, ()))

    def entries_for(order: Order) -> EntryPart:
        return EntryPart(
            store=daemon.store,
            pipeline=daemon.pipeline,
            compiler=daemon.compiler,
            interpreters=interpreters,
            users=users,
            addresses=Addresses(layout.urls, jobs=users.all_jobs(), pins_of=pins_of, offline=order.offline),
        )

    return Repairer(
        store=daemon.store,
        writer=daemon.writer,
        book=daemon.book,
        warmer=daemon.warmer,
        users=users,
        views=ViewPart(store=daemon.store, publishing=daemon.publishing, interpreters=interpreters, users=users),
        entries_for=entries_for,
    )
