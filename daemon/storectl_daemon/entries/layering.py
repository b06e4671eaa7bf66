"""The layers that the daemon reads from: named in the settings, opened with a deadline, looked at again at each warm.

A file system whose server is gone answers nothing, for hours, and who asks it cannot be stopped. So each layer is
opened in a thread of its own. One that has not answered in time is left out for a while, and only then asked again.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from storectl_store.entries.layer_settings import VARIABLE, LayerSettings, read_layer_settings
from storectl_store.entries.layers import Layer, Layers, open_layer
from storectl_store.errors import LayerError, ProblemError, SilentLayerError
from storectl_store.system_errors import reason_of

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 2.0
"""How long a layer may take to be opened."""
REST_SECONDS = 60.0
"""How long one is left out that did not answer."""

Opening = Callable[[LayerSettings], Layer]


@dataclass(slots=True, eq=False)
class _Probe:
    """A layer that is being opened; ``outcome`` is what came of it, None as long as there is no answer."""

    settings: LayerSettings
    asked_at: float
    outcome: Layer | LayerError | None = None
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
            probe.outcome = self._opening(probe.settings)
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
            return probe.outcome
        self._silent[path] = probe
        return SilentLayerError(
            f"the layer {path} does not answer, and is left out for {REST_SECONDS:.0f} s",
            hint="its file system waits for a server: try again, or take it out of the settings",
            path=str(path),
        )
