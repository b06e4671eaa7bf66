"""The layers of a daemon: opened as the settings say, with a deadline, and what became of them since."""

import os
import threading
import time
from pathlib import Path

import pytest

from storectl_daemon.entries.layering import REST_SECONDS, Layering
from storectl_store.entries.generation import renew_generation
from storectl_store.entries.layer_settings import LayerSettings
from storectl_store.entries.layers import Layer, Layers, open_layer
from storectl_store.entries.read_only import ReadOnlyStore
from storectl_store.entries.store import Store
from storectl_store.errors import SilentLayerError
from storectl_store.projects.input_state import layer_inputs
from support.layers import write_config
from support.stores import digest, written_store
from support.wheels import make_wheel

ALPHA = make_wheel("alpha")
SOON = 0.2


@pytest.fixture
def lower(tmp_path: Path) -> Path:
    with written_store(tmp_path / "lower") as written:
        written.commit(ALPHA)
    return tmp_path / "lower"


@pytest.fixture
def layers(tmp_path: Path) -> Layers:
    Store.open(tmp_path / "own").close()
    return Layers(ReadOnlyStore.open(tmp_path / "own"))


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "etc").mkdir()
    return {
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "STORECTL_SYSTEM_CONFIG": str(tmp_path / "etc"),
    }


def configured(tmp_path: Path, *roots: Path) -> None:
    write_config(tmp_path / "config" / "storectl", *roots)


def test_the_settings_are_read_again_at_each_look(
    layers: Layers, environ: dict[str, str], tmp_path: Path, lower: Path
) -> None:
    layering = Layering(layers, environ)
    layering.renew({})
    assert (layers.lower, layering.problems) == ((), ())
    configured(tmp_path, lower)
    layering.renew({})
    assert layers.has(digest(ALPHA))
    configured(tmp_path)
    layering.renew({})
    assert not layers.has(digest(ALPHA))


def test_layers_of_one_command_are_used_for_others_too(layers: Layers, environ: dict[str, str], lower: Path) -> None:
    layering = Layering(layers, environ)
    layering.renew({"STORECTL_LAYERS": str(lower)})
    layering.renew({})
    assert layers.has(digest(ALPHA))


def test_one_layer_that_is_wrong_does_not_keep_others_from_being_used(
    layers: Layers, environ: dict[str, str], tmp_path: Path, lower: Path
) -> None:
    configured(tmp_path, tmp_path / "gone", lower)
    layering = Layering(layers, environ)
    layering.renew({})
    assert [layer.root for layer in layers.lower] == [lower]
    (problem,) = layering.problems
    assert str(tmp_path / "gone") in problem.message
    assert layers.silent == {}


def test_a_layer_that_does_not_answer_is_left_out_for_a_while(
    layers: Layers, environ: dict[str, str], tmp_path: Path, lower: Path
) -> None:
    """A VERSION that is a FIFO: whoever opens it waits in the kernel, as for a server that is gone."""
    configured(tmp_path, lower)
    (lower / "VERSION").unlink()
    os.mkfifo(lower / "VERSION", 0o600)
    now = [1000.0]
    opened: list[LayerSettings] = []

    def opening(settings: LayerSettings) -> Layer:
        opened.append(settings)
        return open_layer(settings)

    layering = Layering(layers, environ, opening=opening, seconds=SOON, clock=lambda: now[0] + time.monotonic())
    began = time.monotonic()
    layering.renew({})
    assert SOON <= time.monotonic() - began < 10 * SOON
    assert layers.lower == ()
    (problem,) = layering.problems
    assert isinstance(problem, SilentLayerError)
    assert f"the layer {lower} does not answer" in problem.message
    with pytest.raises(SilentLayerError):
        layers.check_reachable([lower])
    began = time.monotonic()
    layering.renew({})
    assert time.monotonic() - began < SOON  # nobody waits for it again
    assert len(opened) == 1
    now[0] += REST_SECONDS
    layering.renew({})
    assert len(opened) == 2
    release(lower / "VERSION", threads=2)
    layering.renew({})
    assert layering.problems == ()
    assert layers.has(digest(ALPHA))


def release(fifo: Path, *, threads: int) -> None:
    """Let those go on that wait for the file, and put a right one in its place."""
    waiting = [thread for thread in threading.enumerate() if thread.name == f"opening {fifo.parent}"]
    assert len(waiting) == threads
    while any(thread.is_alive() for thread in waiting):
        descriptor = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
        os.write(descriptor, b"storectl store 1\n" * threads)
        time.sleep(0.02)
        os.close(descriptor)
    fifo.unlink()
    fifo.write_text("storectl store 1\n")
    fifo.chmod(0o600)


@pytest.fixture
def looked_at(layers: Layers, environ: dict[str, str], tmp_path: Path, lower: Path) -> Layering:
    lower.chmod(0o755)
    configured(tmp_path, lower)
    layering = Layering(layers, environ)
    layering.renew({})
    assert layering.look() == {lower}
    return layering


def test_a_look_tells_which_layers_have_lost_something(looked_at: Layering, tmp_path: Path, lower: Path) -> None:
    assert looked_at.look() == set()
    renew_generation(ReadOnlyStore.open(lower).layout)
    looked_at.renew({})  # a warm in between takes nothing from it
    assert looked_at.look() == {lower}
    assert looked_at.look() == set()
    lower.rename(tmp_path / "elsewhere")
    assert looked_at.look() == {lower}


def test_inputs_in_layers_are_told_from_others(looked_at: Layering, lower: Path) -> None:
    others = {Path("/a"): "file", lower / "store": "place"}
    assert looked_at.without_layers({**layer_inputs(lower), **others}) == others  # type: ignore[dict-item]
