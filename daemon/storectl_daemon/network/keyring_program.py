"""The keyring program, which pip and uv ask for a login that is written down nowhere else.

It is the command ``keyring`` on PATH. It is asked only if ``PIP_KEYRING_PROVIDER``, ``UV_KEYRING_PROVIDER`` or a
configuration file says so, and only after a server has refused (401):

    keyring get <service> <user>              the password on one line
    keyring --mode creds get <service>        user and password on two lines; keyring 25.2 and newer

The service is the address of the index, then its host, as pip and uv have it.
"""

import asyncio
import logging
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence

from storectl_daemon.network.address import Login

DEADLINE = 30.0
"""Seconds for one question: the program may wait until the user has unlocked a keyring."""

FORGOTTEN_AFTER = 60.0
"""Seconds until the program is asked again for a login that it did not have."""

_log = logging.getLogger(__name__)


class KeyringProgram:
    """Asks the program, one question at a time, and remembers the answers for this process."""

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        deadline: float = DEADLINE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._environ = dict(environ) | {"PYTHONIOENCODING": "utf-8"}
        self._deadline = deadline
        self._clock = clock
        self._answers: dict[tuple[tuple[str, ...], str | None], tuple[Login | None, float]] = {}
        self._asking = asyncio.Lock()

    async def login(
        self, services: Sequence[str], user: str | None, *, instead_of: Login | None = None
    ) -> Login | None:
        """The login of this user (None: of any user) from the first of the services that has one; None if none has.

        ``instead_of`` is an earlier answer that a server no longer accepts: tokens expire.
        """
        key = (tuple(services), user)
        async with self._asking:
            known = self._answers.get(key)
            if known is not None and (known[0] not in (None, instead_of) or self._clock() - known[1] < FORGOTTEN_AFTER):
                return known[0]
            login = await asyncio.to_thread(self._ask, services, user)
            self._answers[key] = (login, self._clock())
            return login

    def _ask(self, services: Sequence[str], user: str | None) -> Login | None:
        program = shutil.which("keyring", path=self._environ.get("PATH"))
        if program is None:
            _log.warning("there is no keyring program on PATH, although the configuration names it")
            return None
        for service in services:
            login = self._password(program, service, user) if user else self._pair(program, service)
            if login is not None:
                return login
        return None

    def _password(self, program: str, service: str, user: str) -> Login | None:
        lines = self._run([program, "get", service, user])
        return Login(user=user, password=lines[0]) if lines else None

    def _pair(self, program: str, service: str) -> Login | None:
        lines = self._run([program, "--mode", "creds", "get", service])
        return Login(user=lines[0], password=lines[1]) if len(lines) > 1 else None

    def _run(self, command: list[str]) -> list[str]:
        """The lines that the program printed; empty if it has no answer. They are never logged."""
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                env=self._environ,
                timeout=self._deadline,
                check=False,
            )
            return done.stdout.decode("utf-8").splitlines() if done.returncode == 0 else []
        except subprocess.TimeoutExpired:
            _log.warning("the keyring program did not answer within %g s", self._deadline)
        except (OSError, UnicodeDecodeError) as error:
            _log.warning("the keyring program cannot be used: %s", type(error).__name__)
        return []
