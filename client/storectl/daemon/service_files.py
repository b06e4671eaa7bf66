"""The service files: where their templates are, and how they are filled in for this user.

In a checkout the templates are in ``systemd/`` and ``launchd/``, in an installed storectl below
``storectl/service_files/``. Their placeholders: ``@storectl-python@`` (the command line's absolute path), ``@store@``,
``@socket@``, ``@socket-name@``, ``@log@``.
"""

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from storectl.errors import ServiceFileError
from storectl_shim.locations import log_path, socket_path, store_folder

COMMAND = "storectl-python"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceManager:
    """A kind of service manager: its templates, the folder that its files go to, and the commands for them."""

    name: str
    files: tuple[str, ...]
    folder: str
    enable: tuple[str, ...]
    disable: tuple[str, ...]


SYSTEMD = ServiceManager(
    name="systemd",
    files=("storectl.socket", "storectl.service"),
    folder="systemd/user",
    enable=("systemctl", "--user", "enable", "--now", "storectl.socket"),
    disable=("systemctl", "--user", "disable", "--now", "storectl.socket", "storectl.service"),
)

LAUNCHD = ServiceManager(
    name="launchd",
    files=("org.storectl.daemon.plist",),
    folder="Library/LaunchAgents",
    enable=("launchctl", "load", "-w"),
    disable=("launchctl", "remove", "org.storectl.daemon"),
)


def service_manager() -> ServiceManager:
    """The service manager of this platform."""
    return LAUNCHD if sys.platform == "darwin" else SYSTEMD


def install_folder(manager: ServiceManager, environ: Mapping[str, str]) -> Path:
    """The folder that this user's service files go to."""
    home = Path(environ.get("HOME") or Path.home())
    if manager is LAUNCHD:
        return home / manager.folder
    configuration = environ.get("XDG_CONFIG_HOME", "")
    return (Path(configuration) if os.path.isabs(configuration) else home / ".config") / manager.folder


def write_files(manager: ServiceManager, texts: Mapping[str, str], environ: Mapping[str, str]) -> list[Path]:
    """Write the service files to their folder, which is made; ServiceFileError if the system refuses."""
    folder = install_folder(manager, environ)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ServiceFileError(
            f"cannot write {error.filename}: {error.strerror}", hint="--print shows what it would hold"
        ) from None
    return [folder / name for name in texts]


def filled_files(manager: ServiceManager, environ: Mapping[str, str]) -> dict[str, str]:
    """The text of each service file, filled in, by its name; ServiceFileError if one or the command is missing."""
    folder, command = template_folder(manager), command_path()
    quote = escape if manager is LAUNCHD else _systemd_quoted
    store = store_folder(environ) if manager is LAUNCHD else f"STORECTL_STORE={store_folder(environ)}"
    values = {
        "@storectl-python@": quote(command),
        "@store@": quote(store),
        "@socket-name@": os.path.basename(socket_path(environ)),
        "@socket@": escape(socket_path(environ)),
        "@log@": escape(log_path(environ)),
    }
    texts = {name: (folder / name).read_text(encoding="utf-8") for name in manager.files}
    for placeholder, value in values.items():
        texts = {name: text.replace(placeholder, value) for name, text in texts.items()}
    return texts


def template_folder(manager: ServiceManager) -> Path:
    """The folder of the templates: in the installed package, or in the checkout that the package is imported from."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "service_files" / manager.name, package.parents[1] / manager.name):
        if (folder / manager.files[0]).is_file():
            return folder
    raise ServiceFileError(f"the service files for {manager.name} are missing", hint="install storectl again")


def command_path() -> str:
    """The absolute path of ``storectl-python``: beside this interpreter, else on PATH."""
    beside = Path(sys.executable).parent / COMMAND
    found = str(beside) if beside.is_file() else shutil.which(COMMAND)
    if found is None:
        raise ServiceFileError(
            f"cannot find {COMMAND}, which the service is to start", hint="install storectl with pip"
        )
    return os.path.abspath(found)


def _systemd_quoted(path: str) -> str:
    """The path as one word of ExecStart (systemd.service(5), "Command lines"); ``%`` starts a specifier there."""
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'
