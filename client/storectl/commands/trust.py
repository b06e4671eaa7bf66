"""`storectl trust`: the list of folders whose files may decide what runs, although they belong to other users."""

import os

import click

from storectl.commands.output import print_lines
from storectl.errors import ClientError, UsageError
from storectl_shim.trust import EVERYTHING, SYSTEM_LIST, list_path, read_list


@click.command()
@click.argument("folders", metavar="[DIR]...", nargs=-1)
@click.option("--remove", is_flag=True, help="Trust these folders no more.")
def trust(folders: tuple[str, ...], *, remove: bool) -> None:
    """Trust folders of other users.

    The lock files and the code in them then count as yours; '*' is every folder. Without a folder: print the list.
    """
    path = list_path(os.environ)
    own = read_list(path)
    if not folders:
        if remove:
            raise UsageError("--remove needs a folder", hint="storectl trust alone prints what is trusted")
        print_lines(*own, *(f"{entry} ({SYSTEM_LIST})" for entry in read_list(SYSTEM_LIST)))
        return
    named = [folder if folder == EVERYTHING else os.path.realpath(folder) for folder in folders]
    for folder in named:
        _check(folder, own, remove=remove)
    kept = [entry for entry in own if entry not in named]
    _write(path, kept if remove else [*kept, *named])
    print_lines(*(f"{'no longer trusted' if remove else 'trusted'}: {folder}" for folder in named))


def _check(folder: str, own: list[str], *, remove: bool) -> None:
    if remove and folder not in own:
        raise ClientError(f"{folder} is not in your list", code="E_TRUST", hint="storectl trust prints the list")
    if not remove and folder != EVERYTHING and not os.path.isdir(folder):
        raise ClientError(f"there is no folder {folder}", code="E_TRUST", hint="name the project's folder")
    if "\n" in folder:
        raise ClientError(f"{folder!r} cannot stand in a list of lines", code="E_TRUST", hint="rename the folder")


def _write(path: str, entries: list[str]) -> None:
    """Replace the whole list; only its owner may write to the new file."""
    stage = f"{path}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with open(os.open(stage, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
            file.write(b"".join(os.fsencode(entry) + b"\n" for entry in entries))
        os.replace(stage, path)
    except OSError as error:
        raise ClientError(
            f"cannot write {path}: {error.strerror}",
            code="E_TRUST",
            hint=f"set XDG_CONFIG_HOME to a folder of your own, or have root write {SYSTEM_LIST}",
        ) from None
