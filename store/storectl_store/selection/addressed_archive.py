"""An archive that a lock file knows by its address and digest: a wheel to be taken as it is, or sources to be built."""

from packaging.utils import NormalizedName

from storectl_store.digest import Digest
from storectl_store.selection.addresses import filename_of
from storectl_store.selection.choose import choose_wheel, no_wheel_error, parsed_filename
from storectl_store.selection.origins import archive_origin
from storectl_store.selection.pin import Pin, SourceArchive, SourcePin, WheelFile
from storectl_store.selection.target import Interpreter


def addressed_archive(
    name: NormalizedName,
    address: str,
    digest: Digest,
    interpreter: Interpreter,
    *,
    version: str | None,
    subdirectory: str | None,
) -> Pin | SourcePin:
    """The archive at this address. ``version`` is that of sources, if known: a wheel's file name has its own.

    Raises ValueError if the file name is that of another project's wheel, or a wheel's name that cannot be read. Raises
    NoWheelError if the wheel does not fit.
    """
    filename = filename_of(address)
    origin = archive_origin(address, digest, subdirectory)
    if not filename.endswith(".whl"):
        archive = SourceArchive(filename=filename, digest=digest, url=address)
        return SourcePin(name=name, version=version, source=archive, subdirectory=subdirectory, direct_url=origin)
    parsed = parsed_filename(filename)
    if parsed is None or parsed[0] != name:
        raise ValueError(f"{filename[:120]!r} is not the file name of a wheel of it")
    wheel = WheelFile(filename=filename, digest=digest, url=address)
    if choose_wheel((wheel,), interpreter) is None:
        raise no_wheel_error(name, str(parsed[1]), (filename,), interpreter, has_sdist=False)
    return Pin(name=name, version=str(parsed[1]), wheel=wheel, direct_url=origin)
