"""What a worker and its children say: on its standard output, which is the build's log, without secrets."""

from collections.abc import Iterable

from storectl_daemon.building.secrets import without_secrets


class Log:
    """Says things, and leaves the secrets out."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = tuple(secrets)

    def clean(self, text: str) -> str:
        """The text as it may be shown."""
        return without_secrets(text, self._secrets)

    def say(self, *texts: str) -> None:
        """Each text from a new line on."""
        for text in texts:
            print(self.clean(text), flush=True)

    def line(self, text: str) -> str:
        """Say a line that has its end already, and give it back as it was said."""
        shown = self.clean(text)
        print(shown, end="", flush=True)
        return shown
