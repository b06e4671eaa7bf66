"""The layers that the daemon reads from: named in the settings, opened with a deadline, looked at again at each warm.

A file system whose server is gone answers nothing, for hours, and who asks it cannot be stopped. So each layer is
opened in a thread of its own. One that has not answered in time is left out for a while, and only then asked again.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from storectl_store.entries.layer_settings import VARIABLE, LayerSettings, read_layer_settings
from storectl_store.entries.layers import Layer, Layers, open_layer
from storectl_store.errors import LayerError, ProblemError, SilentLayerError
from storectl_store.projects.input_state import InputKind, layer_inputs
from storectl_store.system_errors import reason_of

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 2.0
"""How long a layer may take to be opened."""
REST_SECONDS = 60.0
"""How long one is left out that did not answer."""
LOOK_SECONDS = 60.0
"""How often it is looked whether something was taken out of a layer."""

Opening = Callable[[LayerSettings], Layer]


@dataclass(slots=True, eq=False)
class _Probe:
    """A layer that is being opened; ``outcome`` is what came of it, None as long as there is no answer.

    ``generation`` are inode and time (ns) of its ``GENERATION``.
    """

    settings: LayerSettings
    asked_at: float
    outcome: Layer | LayerError | None = None
    generation: tuple[int, int] | None = None
    answered: threading.Event = field(default_factory=threading.Event)


class Layering:
    """Keeps ``layers`` as the settings say. Every method may block, at most for ``seconds``; threads may share it.

    ``environ`` are the daemon's own variables. ``problems`` are what was wrong at the last look.
    """

    def __init__(
        self,
        layers: Layers,
        environ: Mapping[str, str],
        *,
        opening: Opening = open_layer,
        seconds: float = ANSWER_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.layers = layers
        self.problems: tuple[LayerError, ...] = ()
        self._environ = dict(environ)
        self._opening = opening
        self._seconds = seconds
        self._clock = clock
        self._silent: dict[Path, _Probe] = {}
        self._generations: dict[Path, tuple[int, int] | None] = {}
        self._looked: dict[Path, tuple[int, int] | None] = {}
        self._lock = threading.Lock()

    def renew(self, environ: Mapping[str, str]) -> None:
        """Read the settings, and open the layers that they name.

        ``environ`` are the variables of a command. What its ``STORECTL_LAYERS`` names is used from now on, also for
        others: the daemon is of one user.
        """
        with self._lock:
            self._remember(environ.get(VARIABLE, ""))
            read = read_layer_settings(self._environ)
            outcomes = self._opened(read.layers)
            for gone in self._generations.keys() - {settings.path for settings in read.layers}:
                del self._generations[gone]
            self.layers.lower = tuple(each for each in outcomes if isinstance(each, Layer))
            wrong = {
                settings.path: outcome
                for settings, outcome in zip(read.layers, outcomes, strict=True)
                if isinstance(outcome, LayerError)
            }
            self.layers.silent = {path: error for path, error in wrong.items() if isinstance(error, SilentLayerError)}
            problems = (*read.problems, *wrong.values())
            for problem in problems:
                if str(problem) not in map(str, self.problems):
                    logger.warning("%s", problem)
            self.problems = problems

    def look(self) -> set[Path]:
        """As ``renew``, and the roots of those layers that came, went, or had something taken out since the last look.

        One that does not answer is as it was.
        """
        self.renew({})
        before, now = self._looked, dict(self._generations)
        self._looked = now
        return {root for root in before.keys() | now.keys() if before.get(root, ()) != now.get(root, ())}

    def without_layers(self, inputs: Mapping[Path, InputKind]) -> Mapping[Path, InputKind]:
        """Those of the inputs that are in no layer: no thread that looks at these may wait for a dead server."""
        roots = [*self._generations, *self.layers.silent]
        of_layers = {path for root in roots for path in layer_inputs(root)}
        return {path: kind for path, kind in inputs.items() if path not in of_layers} if of_layers else inputs

    def _remember(self, named: str) -> None:
        known = [path for path in self._environ.get(VARIABLE, "").split(os.pathsep) if path]
        new = [path for path in named.split(os.pathsep) if path and path not in known]
        if new:
            self._environ[VARIABLE] = os.pathsep.join([*known, *new])

    def _opened(self, wanted: Sequence[LayerSettings]) -> list[Layer | LayerError]:
        """What came of each, all of them asked at once."""
        probes = [self._probe(settings) for settings in wanted]
        return [self._outcome(probe) for probe in probes]

    def _probe(self, settings: LayerSettings) -> _Probe:
        """A new look at the layer, or the one that is not answered yet."""
        silent = self._silent.get(settings.path)
        if silent is not None and not (
            silent.answered.is_set() or silent.settings != settings or self._clock() > silent.asked_at + REST_SECONDS
        ):
            return silent
        probe = _Probe(settings=settings, asked_at=self._clock())
        # A thread that waits for a dead server must not keep the daemon from ending.
        threading.Thread(target=self._open, args=(probe,), name=f"opening {settings.path}", daemon=True).start()
        return probe

    def _open(self, probe: _Probe) -> None:
        path = probe.settings.path
        try:
            layer = self._opening(probe.settings)
            with suppress(FileNotFoundError):
                status = os.stat(layer.store.layout.generation)
                probe.generation = status.st_ino, status.st_mtime_ns
            probe.outcome = layer
        except LayerError as error:
            probe.outcome = error
        except ProblemError as error:
            probe.outcome = LayerError(f"the layer {path} is not used: {error.message}", hint=error.hint)
        except OSError as error:
            probe.outcome = LayerError(f"the layer {path} is not used: {reason_of(error)}", path=str(path))
        finally:
            probe.answered.set()

    def _outcome(self, probe: _Probe) -> Layer | LayerError:
        path = probe.settings.path
        left = probe.asked_at + self._seconds - self._clock()
        if probe.answered.wait(max(0.0, left)) and probe.outcome is not None:
            self._silent.pop(path, None)
            if isinstance(probe.outcome, Layer):
                self._generations[path] = probe.generation
            else:
                self._generations.pop(path, None)
            return probe.outcome
        self._silent[path] = probe
        return SilentLayerError(
            f"the layer {path} does not answer, and is left out for {REST_SECONDS:.0f} s",
            hint="its file system waits for a server: try again, or take it out of the settings",
            path=str(path),
        )
