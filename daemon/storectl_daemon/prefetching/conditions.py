"""Whether this is a moment to fetch what nobody has asked for: by the battery, the disk and the network's variables."""

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from storectl_daemon.prefetching.admission import FREE_BYTES
from storectl_store.selection.settings_files import is_true

POWER = Path("/sys/class/power_supply")
LOW_PERCENT = 20


class NotNowError(Exception):
    """Nothing is to be made ready ahead now. It says why, in words for the log."""


def check_moment(environ: Mapping[str, str], store: Path, *, power: Path = POWER) -> None:
    """Raise NotNowError if there is a reason to fetch nothing now."""
    if is_offline(environ):
        raise NotNowError("the network is not to be used")
    if is_battery_low(power):
        raise NotNowError(f"the battery is below {LOW_PERCENT} %")
    if shutil.disk_usage(store).free < FREE_BYTES:
        raise NotNowError(f"less than {FREE_BYTES} bytes are free on the disk")


def is_offline(environ: Mapping[str, str]) -> bool:
    """Whether these variables say that the network is not to be used, as ``storectl run`` reads them."""
    return environ.get("STORECTL_OFFLINE", "") not in ("", "0") or is_true(environ.get("UV_OFFLINE"))


def is_battery_low(power: Path) -> bool:
    """Whether this machine runs on a battery that is nearly empty. Batteries of mice and the like do not count."""
    supplies = []
    with suppress(OSError):
        supplies = sorted(os.listdir(power))
    return any(_is_low(power / name) for name in supplies)


def _is_low(supply: Path) -> bool:
    said = {name: _text(supply / name) for name in ("type", "scope", "status", "capacity")}
    if said["type"] != "Battery" or said["scope"] == "Device" or said["status"] != "Discharging":
        return False
    return said["capacity"].isdigit() and int(said["capacity"]) < LOW_PERCENT


def _text(file: Path) -> str:
    with suppress(OSError, UnicodeDecodeError):
        return file.read_text().strip()
    return ""
