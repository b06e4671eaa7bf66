"""The parts of a repair, put together from those of the daemon."""

import asyncio
from collections.abc import Sequence

from storectl_daemon.compiling.compiler import Compiler
from storectl_daemon.jobs.options import Job
from storectl_daemon.process.loading import Loaded
from storectl_daemon.repair.addresses import Addresses
from storectl_daemon.repair.entry_part import EntryPart
from storectl_daemon.repair.examined import Order
from storectl_daemon.repair.repairer import Repairer
from storectl_daemon.repair.users import Users
from storectl_daemon.repair.view_part import ViewPart
from storectl_daemon.service import Service
from storectl_daemon.warming.make import EnvironmentMaker
from storectl_daemon.warming.publishing import Publishing
from storectl_store.entries.staged import StagedEntry
from storectl_store.entries.writer import Writer
from storectl_store.interpreters.book import InterpreterBook
from storectl_store.selection.pin import Pin


def assemble(
    daemon: Service,
    *,
    writer: Writer,
    maker: Loaded[EnvironmentMaker],
    compiler: Compiler,
    publishing: Publishing,
    alone: asyncio.Lock,
) -> Repairer:
    """The repairer of this daemon. Nothing else that looks at the whole store has ``alone`` at the same time."""
    layout = daemon.store.layout
    users = Users(layout, daemon.book, daemon.warmer, daemon.bus, daemon.variables)
    interpreters = InterpreterBook(layout.interpreters)

    async def pins_of(job: Job) -> Sequence[Pin]:
        return await (await maker.get()).pins(job, await asyncio.to_thread(daemon.files.read, job, None))

    async def staged_of(job: Job, pin: Pin) -> StagedEntry:
        return await (await maker.get()).staged(job, pin)

    def entries_for(order: Order) -> EntryPart:
        return EntryPart(
            store=daemon.store,
            session=writer.session,
            staged_of=staged_of,
            compiler=compiler,
            interpreters=interpreters,
            users=users,
            addresses=Addresses(
                layout.urls, jobs=users.all_jobs(order), otherwise=users.nobodys_job(order), pins_of=pins_of
            ),
        )

    return Repairer(
        store=daemon.store,
        writer=writer,
        book=daemon.book,
        warmer=daemon.warmer,
        users=users,
        views=ViewPart(store=daemon.store, publishing=publishing, interpreters=interpreters, users=users),
        entries_for=entries_for,
        holds=daemon.holds,
        alone=alone,
    )
