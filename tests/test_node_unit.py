"""The node daemon's unit: as closed as systemd can tell without running it, and the account's name everywhere the same."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

SYSTEMD = Path(__file__).parent.parent / "systemd"
SERVICE = SYSTEMD / "storectl-node.service"
MOST_EXPOSED = 2.0


@pytest.mark.system
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze (Debian: systemd)")
def test_the_unit_is_hardly_exposed() -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(SERVICE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"Overall exposure level for storectl-node\.service: ([\d.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found[1]) <= MOST_EXPOSED


def test_the_unit_does_not_hide_who_connects() -> None:
    assert not re.search(r"^PrivateUsers=", SERVICE.read_text(), re.MULTILINE)


def test_account_folders_and_socket_are_the_same_in_all_files() -> None:
    service = SERVICE.read_text()
    assert "User=storectl\n" in service
    assert "ReadWritePaths=/srv/storectl\n" in service
    assert re.search(r"^u storectl ", (SYSTEMD / "sysusers.d/storectl.conf").read_text(), re.MULTILINE)
    folders = (SYSTEMD / "tmpfiles.d/storectl.conf").read_text()
    assert "d /run/storectl 0755 root root -" in folders
    assert "d /srv/storectl 0755 storectl storectl -" in folders
    assert "ListenStream=/run/storectl/daemon.sock\n" in (SYSTEMD / "storectl-node.socket").read_text()
