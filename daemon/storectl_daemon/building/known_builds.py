"""Earlier builds: one is used again if nothing that it depends on has changed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from storectl_daemon.building.order import Order, ProjectFolder
from storectl_daemon.building.request import BuildResult
from storectl_daemon.building.variables import OFTEN_READ, counted, native_names
from storectl_shim.project_record import same_variables, variable_digest
from storectl_store.entries.layers import Layers
from storectl_store.entries.provenance import (
    Provenance,
    kept_provenances,
    kept_variables_key,
    provenances,
    remove_older_formats,
    write_provenance,
)
from storectl_store.selection.pin import Pin, WheelFile


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltWheel:
    """A wheel in the store. ``variables`` are digests, by name, of the variables that its build depends on."""

    pin: Pin
    variables: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


class KnownBuilds:
    """The records of the own store, and of layers whose builds are trusted. Blocking, so meant for a thread.

    A build runs foreign code, and no lock file has the digest of what it makes. So another account's counts only if the
    settings say so.
    """

    def __init__(self, layers: Layers) -> None:
        self._layers = layers
        self._layout = layers.layout
        self._root = str(layers.layout.root)
        self._swept = False

    def find(self, order: Order) -> BuiltWheel | None:
        """The wheel of an earlier build for an equal order, if its entry still exists; otherwise None."""
        trusted = [layer.store for layer in self._layers.lower if layer.settings.builds == "trusted"]
        records = [*provenances(self._layout, order.key)]
        records += [each for store in trusted for each in kept_provenances(store.layout, order.key, store.owners)]
        for record in records:
            if self._layers.has(record.digest) and self._fits(record, order):
                wheel = WheelFile(filename=record.filename, digest=record.digest, url=f"file:///{record.filename}")
                pin = Pin(name=record.name, version=record.version, wheel=wheel)
                return BuiltWheel(pin=pin, variables=record.variables)
        return None

    def keep(self, order: Order, pin: Pin, result: BuildResult) -> BuiltWheel:
        """Record the result of an order."""
        self._sweep()
        named = order.source.variables if isinstance(order.source, ProjectFolder) else frozenset()
        names = (counted(result.looked_up, order.environ) | named | OFTEN_READ) - order.how.recipe.variables.keys()
        key = kept_variables_key(self._layout)
        variables = {name: variable_digest(key, name, order.environ.get(name)) for name in sorted(names)}
        write_provenance(self._layout, _provenance(order, pin, result, variables))
        return BuiltWheel(pin=pin, variables=variables)

    def _fits(self, record: Provenance, order: Order) -> bool:
        """Whether every variable that counted has the value of then, and no other variable counts now."""
        native = native_names(order.environ) - order.how.recipe.variables.keys()
        return native <= record.variables.keys() and same_variables(self._root, record.variables, order.environ)

    def _sweep(self) -> None:
        if not self._swept:
            self._swept = True
            remove_older_formats(self._layout)


def _provenance(order: Order, pin: Pin, result: BuildResult, variables: Mapping[str, str]) -> Provenance:
    return Provenance(
        key=order.key,
        name=pin.name,
        version=pin.version,
        kind=order.kind,
        source=order.shown_source,
        interpreter=order.interpreter.identity,
        python=order.interpreter.version,
        backend=result.backend,
        build_requires=result.build_requires,
        installed=result.installed,
        variables=variables,
        filename=pin.wheel.filename,
        digest=pin.wheel.digest,
    )
