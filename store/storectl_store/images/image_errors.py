"""What the system refuses while an image is written, read or unpacked, as an error that a person is told."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storectl_store.errors import ImageError
from storectl_store.system_errors import reason_of, refusal_of


@contextmanager
def image_errors(doing: str, place: Path) -> Iterator[None]:
    """Raise an OSError of the block as StoreFullError (the disk's fault) or ImageError (anything else).

    ``doing`` reads as in "cannot <doing>"; ``place`` is the file or folder that it is about.
    """
    try:
        yield
    except OSError as error:
        if (refusal := refusal_of(error, doing)) is not None:
            raise refusal from error
        where = f": {error.filename}" if isinstance(error.filename, str) and error.filename != str(place) else ""
        hint = "see whose it is and what its mode allows, or name another place"
        raise ImageError(f"cannot {doing}: {reason_of(error)}{where}", hint=hint, path=str(place)) from error
