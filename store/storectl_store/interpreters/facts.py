"""Makes an Interpreter, with its wheel tags, from the facts that the interpreter told (`probe`). Pure."""

import hashlib
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from storectl_store.interpreters.tags import System, tags_of
from storectl_store.selection.python_version import release_of
from storectl_store.selection.target import Interpreter

_VOLATILE_MARKERS = frozenset({"platform_release", "platform_version"})


def interpreter_of(facts: Mapping[str, Any]) -> Interpreter:
    """The interpreter with these facts. Raises KeyError, TypeError or ValueError if one is missing or malformed."""
    texts = {
        name: _text(facts[name])
        for name in ("executable", "version", "implementation", "cache_tag", "base_prefix", "platlibdir", "abiflags")
    }
    markers = {_text(name): _text(value) for name, value in facts["markers"].items()}
    system = _system(facts, markers)
    suffixes = tuple(_text(suffix) for suffix in facts["extension_suffixes"])
    threaded = "t" if facts["free_threaded"] else ""
    if threaded not in texts["abiflags"]:
        texts["abiflags"] += threaded
    # A debug build also loads extension modules of ordinary builds.
    abi_flags = [f"{threaded}d", threaded] if facts["debug"] else [threaded]
    return Interpreter(
        identity=_identity(texts, markers, system, suffixes),
        markers=MappingProxyType(markers),
        tags=tags_of(release_of(texts["version"]), abi_flags, system),
        extension_suffixes=suffixes,
        **texts,
    )


def _system(facts: Mapping[str, Any], markers: Mapping[str, str]) -> System:
    return System(
        name=markers["platform_system"],
        platform=_text(facts["platform"]),
        machine=markers["platform_machine"],
        pointer_bits=int(facts["pointer_bits"]),
        glibc=_text(facts["glibc"]),
        musl=_text(facts["musl"]),
        macos=_text(facts["macos"]),
        elf_header=bytes.fromhex(facts["elf_header"]),
        refused=frozenset(_text(version) for version in facts["manylinux_refused"]),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"not a string: {value!r}")
    return value


def _identity(texts: Mapping[str, str], markers: Mapping[str, str], system: System, suffixes: tuple[str, ...]) -> str:
    """A digest of everything that decides what environments of the interpreter look like.

    The kernel's release and version are left out: they change with every update, and count only through a marker, which
    the selection has then seen. Tags are left out, because they follow from the rest: another version of packaging
    orders them anew, and an environment is already named after the wheels that were chosen by them.
    """
    lasting = {name: value for name, value in markers.items() if name not in _VOLATILE_MARKERS}
    runs_on = [system.platform, system.pointer_bits, system.glibc, system.musl, system.macos]
    facts = [dict(texts), lasting, runs_on, suffixes]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
