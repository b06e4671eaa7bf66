"""`storectl image`: an environment as one file, built beside the daemon, and used where there is none."""

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from support.index import LoopbackIndex
from support.machine import STORECTL, Machine
from support.mounts import mounted
from support.project import write_project
from support.wheels import make_wheel

GUESTS = True  # the tests do not disturb one another: one daemon serves them all

ALPHA = make_wheel(
    "alpha",
    files={
        "alpha/__init__.py": "import os\nHERE = os.path.dirname(__file__)\ndef main():\n    print(open(HERE + '/said.txt').read())\n",
        "alpha/said.txt": "said",
        "alpha/cold.py": "X = 'cold'\n",
        "alpha/more/__init__.py": "X = 'more'\n",
    },
    entry_points="[console_scripts]\nalpha = alpha:main\n",
)
MANY = make_wheel(
    "many", files={f"many/m{number}.py": f"X = {number}\n" for number in range(30)} | {"many/__init__.py": ""}
)
SCRIPT = """
import os, sys, alpha, many
for number in range(20):
    __import__(f"many.m{number}")
alpha.main()
print(sys.argv[1:], os.environ.get("STORECTL_FROZEN"), os.environ["VIRTUAL_ENV"] == sys.prefix)
"""


@pytest.fixture
def project(machine: Machine, index: LoopbackIndex) -> Path:
    folder = write_project(machine.home / "project", index, [ALPHA, MANY])
    (folder / "script.py").write_text(SCRIPT)
    (machine.home / "node").mkdir()
    return folder


def image(machine: Machine, project: Path, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """``storectl image`` in the project, on a node whose folder is ``node``."""
    done = machine.run("image", *arguments, cwd=project, env={"STORECTL_NODE_DIR": str(machine.home / "node")})
    assert done.returncode == code, done.stderr
    return done


def test_a_program_runs_from_an_image_where_nothing_else_is(machine: Machine, project: Path) -> None:
    told = machine.json("image", "build", "--json", cwd=project)
    assert (told["path"], told["kind"]) == (str(project / "project.storectl-image"), "full")
    machine.stop()
    elsewhere = machine.guest()
    elsewhere.environ = machine.environ | {"HOME": "/nonexistent", "STORECTL_STORE": "/nonexistent/store"}
    node = ("--to", str(machine.home / "node"))
    done = elsewhere.run("image", "run", *node, told["path"], "script.py", "-x", cwd=project)
    assert (done.stdout, done.stderr, done.returncode) == ("said\n['-x'] 1 True\n", "", 0)
    assert elsewhere.ok("image", "run", *node, told["path"], "alpha", cwd=project) == "said\n"
    assert elsewhere.ok("image", "run", *node, told["path"], "-c", "import alpha.cold; print(alpha.cold.X)") == "cold\n"
    failed = elsewhere.run("image", "run", *node, told["path"], "-c", "raise SystemExit(7)")
    assert failed.returncode == 7
    assert machine.daemon_processes() == []


def test_what_a_recorded_run_opened_is_in_a_hot_image_and_the_rest_is_linked(machine: Machine, project: Path) -> None:
    built = image(machine, project, "build", "-o", "hot", "--hot", "--", "script.py", "recorded")
    assert built.stdout.startswith("said\n['recorded'] None True\n")
    with tarfile.open(project / "hot") as archive:
        members = {member.name.partition("/site-packages/")[2]: member for member in archive if "store/" in member.name}
    linked = {name: members[name].issym() for name in ("alpha/said.txt", "alpha/cold.py", "alpha/more")}
    assert linked == {"alpha/said.txt": False, "alpha/cold.py": True, "alpha/more": True}
    assert image(machine, project, "run", "hot", "script.py").stdout.startswith("said\n")
    asked = "import alpha.cold, alpha.more; print(alpha.cold.X, alpha.more.X)"
    assert image(machine, project, "run", "hot", "-c", asked).stdout == "cold more\n"
    # The modules come from the pack of the image: their own bytecode is a link that nobody follows.
    trace = machine.home / "trace"
    environ = machine.environ | {"STORECTL_NODE_DIR": str(machine.home / "node")}
    if shutil.which("strace") is None:
        pytest.skip("strace is not here")
    command = [
        "strace",
        "-f",
        "-o",
        str(trace),
        "-e",
        "trace=openat",
        str(STORECTL),
        "image",
        "run",
        "hot",
        "script.py",
    ]
    subprocess.run(command, cwd=project, env=environ, check=True, stdout=subprocess.DEVNULL)
    opened = [line for line in trace.read_text().splitlines() if "ENOENT" not in line]
    assert any(f"/packs/{name}" in line for line in opened for name in os.listdir(machine.store / "environments"))
    assert not [line for line in opened if "/many/" in line and ".py" in line]
    assert not [line for line in opened if f"{machine.store}/" in line and "/bin/" not in line]


def test_a_hot_image_whose_store_is_gone_names_it(machine: Machine, project: Path) -> None:
    machine.environ["STORECTL_STORE"] = str(machine.home / "store")
    image(machine, project, "build", "-o", "hot", "--hot", "--", "script.py")
    machine.run("daemon", "stop")
    (machine.home / "store").rename(machine.home / "moved")
    done = image(machine, project, "run", "hot", "script.py", code=125)
    assert done.stderr.startswith("storectl: E_IMAGE: the image is a hot one, which needs")
    assert f"of the layer {machine.home}/store" in done.stderr


def test_a_program_that_fails_is_not_recorded(machine: Machine, project: Path) -> None:
    done = image(machine, project, "build", "-o", "hot", "--hot", "--", "-c", "raise SystemExit(3)", code=125)
    assert "E_IMAGE: the program to be recorded ended with exit code 3" in done.stderr
    assert not (project / "hot").exists()
    assert "E_USAGE" in image(machine, project, "build", "--hot", code=2).stderr


def test_a_short_copy_ends_with_125_and_one_line(machine: Machine, project: Path) -> None:
    image(machine, project, "build", "-o", "whole")
    (project / "short").write_bytes((project / "whole").read_bytes()[:20_000])
    for words in (["run", "short", "script.py"], ["stage", "short"], ["verify", "short"]):
        done = image(machine, project, *words, code=125)
        assert done.stderr.startswith(f"storectl: E_IMAGE: {project}/short is not a whole image\nhint: ")
        assert done.stdout == ""


def test_a_folder_in_memory_has_to_be_asked_for(machine: Machine, project: Path) -> None:
    image(machine, project, "build", "-o", "whole")
    if not Path("/dev/shm").is_mount():
        pytest.skip("/dev/shm is no file system of its own")
    done = machine.run("image", "stage", "whole", cwd=project, env={"TMPDIR": "/dev/shm"})
    assert done.returncode == 125
    assert "E_IMAGE: /dev/shm is in memory" in done.stderr
    environment = machine.ok("image", "stage", "--memory", "whole", cwd=project).strip()
    assert environment.startswith(f"/dev/shm/storectl-{os.getuid()}/")
    machine.ok("image", "unstage", "--memory", "whole", cwd=project)
    assert not Path(environment).exists()


@pytest.mark.system
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system")
def test_a_squashfs_is_the_same_tree_and_runs_where_it_is_mounted(machine: Machine, project: Path) -> None:
    if not any(os.access(f"{folder}/mksquashfs", os.X_OK) for folder in os.environ["PATH"].split(":")):
        pytest.skip("mksquashfs is not here")
    image(machine, project, "build", "-o", "whole")
    image(machine, project, "build", "-o", "squashfs", "--squashfs")
    (machine.home / "mounted").mkdir()
    with mounted("-o", "loop,ro,nosuid,nodev", str(project / "squashfs"), str(machine.home / "mounted")):
        done = image(machine, project, "run", str(machine.home / "mounted"), "script.py")
        assert done.stdout == "said\n[] 1 True\n"
        shown = [
            machine.json("image", "show", path, "--json", cwd=project)["tree"]
            for path in ("whole", machine.home / "mounted")
        ]
        assert shown[0] == shown[1]
    assert not list((machine.home / "node").iterdir())
    refused = image(machine, project, "stage", "squashfs", code=125)
    assert "is a squashfs" in refused.stderr
