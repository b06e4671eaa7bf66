"""The output of a worker and its children: on its standard output, which is the build's log, without secrets."""

from collections.abc import Iterable

from storectl_daemon.building.secrets import without_secrets


class Log:
    """Writes to standard output, without the secrets."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = tuple(secrets)

    def clean(self, text: str) -> str:
        """The text without secrets."""
        return without_secrets(text, self._secrets)

    def say(self, *texts: str) -> None:
        """Write each text, beginning on a new line."""
        for text in texts:
            print(self.clean(text), flush=True)

    def line(self, text: str) -> str:
        """Write a line that ends with a line break. Returns it as it was written."""
        shown = self.clean(text)
        print(shown, end="", flush=True)
        return shown
