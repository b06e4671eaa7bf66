"""Builds that were made before: found again if nothing on which they depend is different now."""

from dataclasses import dataclass

from storectl_daemon.building.order import Order
from storectl_daemon.building.request import BuildAnswer
from storectl_daemon.building.variables import counted, native_names
from storectl_store.entries.provenance import Provenance, Sealer, provenances, remove_older_formats, write_provenance
from storectl_store.entries.store import Store
from storectl_store.selection.pin import Pin, WheelFile


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeWheel:
    """A wheel that is in the store. ``variables`` are the names of those on which its build depends."""

    pin: Pin
    variables: frozenset[str] = frozenset()


class KnownBuilds:
    """The records of one store. Blocking, so meant for a thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sealer: Sealer | None = None

    def find(self, order: Order) -> MadeWheel | None:
        """The wheel of an earlier build of the very same, whose entry is still there."""
        for record in provenances(self._store.layout, order.key):
            if self._store.has(record.digest) and self._fits(record, order):
                wheel = WheelFile(filename=record.filename, digest=record.digest, url=f"file:///{record.filename}")
                pin = Pin(name=record.name, version=record.version, wheel=wheel)
                return MadeWheel(pin=pin, variables=frozenset(record.variables))
        return None

    def keep(self, order: Order, pin: Pin, answer: BuildAnswer) -> MadeWheel:
        """Record what came of an order."""
        names = counted(answer.looked_up, order.environ) - order.how.recipe.variables.keys()
        names |= order.state.variables if order.state else frozenset()
        record = _provenance(order, pin, answer, self._sealing(), names)
        write_provenance(self._store.layout, record)
        return MadeWheel(pin=pin, variables=names)

    def _fits(self, record: Provenance, order: Order) -> bool:
        """Whether every variable that counted has the value it had, and no other one counts now."""
        names = frozenset(record.variables)
        native = native_names(order.environ) - order.how.recipe.variables.keys()
        return native <= names and self._sealing().seals(names, order.environ) == dict(record.variables)

    def _sealing(self) -> Sealer:
        if self._sealer is None:
            remove_older_formats(self._store.layout)
            self._sealer = Sealer(self._store.layout)
        return self._sealer


def _provenance(order: Order, pin: Pin, answer: BuildAnswer, sealer: Sealer, names: frozenset[str]) -> Provenance:
    return Provenance(
        key=order.key,
        name=pin.name,
        version=pin.version,
        kind=order.kind,
        source=order.source,
        interpreter=order.interpreter.identity,
        python=order.interpreter.version,
        backend=answer.backend,
        build_requires=answer.build_requires,
        installed=answer.installed,
        variables=sealer.seals(names, order.environ),
        filename=pin.wheel.filename,
        digest=pin.wheel.digest,
    )
