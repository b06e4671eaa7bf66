"""The bus: who listens hears everything, but for what it does not want to."""

import asyncio
from pathlib import Path

from storectl_daemon.jobs.events import Event, EventBus
from storectl_daemon.jobs.options import Job
from storectl_daemon.models import CompiledEvent, WarningEvent


def test_a_listener_that_skips_hears_what_comes_after(tmp_path: Path) -> None:
    async def heard() -> list[object]:
        bus, job = EventBus(), Job(project=tmp_path)
        with bus.subscribe() as events:
            for message in ("one", "two"):
                bus.publish(Event(job=job, message=WarningEvent(message=message)))
            events.skip()
            bus.publish(Event(job=job, message=CompiledEvent()))
            bus.close()
            return [event.message async for event in events]

    assert asyncio.run(heard()) == [CompiledEvent()]
