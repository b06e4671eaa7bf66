"""Many processes stage one image at once, and the first of them is killed before any of its calls: one whole tree."""

import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from storectl_store.digest import hex_of
from storectl_store.entries.trash import delete_tree
from storectl_store.images.staging import staged_environment
from support.images import BuiltImage, built_image
from support.stores import tree
from support.wheels import make_wheel

CHANGING = ("chmod", "fchmod", "ftruncate", "mkdir", "openat", "pwrite64", "rename", "symlink", "write")
STAGE = """
import sys
from pathlib import Path
from storectl_store.images.staging import staged_environment
print("at it", flush=True)
if sys.argv[3:]:
    sys.stdin.readline()
print(staged_environment(Path(sys.argv[1]), Path(sys.argv[2])))
"""
KILLED = 137  # of strace, whose child was killed

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not here")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> BuiltImage:
    wheel = make_wheel("alpha", files={"alpha/__init__.py": "", "alpha/sub/one.py": "", "alpha/sub/data.bin": "x" * 99})
    return built_image(tmp_path_factory.mktemp("built"), wheel)


def stage(built: BuiltImage, node: Path, *before: str) -> list[str]:
    return [*before, sys.executable, "-c", STAGE, str(built.file), str(node)]


def calls(built: BuiltImage, node: Path) -> Counter[str]:
    """How often each call is made by a process that stages, from its start on."""
    log = node.parent / "calls"
    tracing = ["strace", "-f", "-o", str(log), "-e", f"trace={','.join(CHANGING)}"]
    subprocess.run(stage(built, node, *tracing), check=True, stdout=subprocess.DEVNULL)
    return Counter(
        line.split(" ", 1)[1].lstrip().partition("(")[0] for line in log.read_text().splitlines() if "(" in line
    )


def numbers(count: int, most: int) -> list[int]:
    """The numbers of so many calls, or ``most`` of them, spread over all, the last ones in any case."""
    chosen = (
        {round(1 + (count - 1) * each / (most - 1)) for each in range(most)}
        if count > most
        else set(range(1, count + 1))
    )
    return sorted(chosen | {number for number in (count - 1, count) if number > 0})


def kill_everywhere(built: BuiltImage, root: Path, most: int) -> Counter[str]:
    """Kill a process that stages before each of its calls, at most so many of a kind. Counts the kills."""
    node = root / "node"
    node.mkdir()
    made = calls(built, node)
    wanted = tree(staged_environment(built.file, node).parent.parent)
    kills: Counter[str] = Counter()
    for call in CHANGING:
        for number in numbers(made[call], most):
            delete_tree(node)
            node.mkdir()
            tracing = [
                "strace",
                "-f",
                "-o",
                "/dev/null",
                "-e",
                f"trace={call}",
                f"--inject={call}:signal=KILL:when={number}",
            ]
            done = subprocess.run(stage(built, node, *tracing), check=False, capture_output=True)
            kills[call] += done.returncode in (-9, KILLED)
            begun = time.monotonic()
            environment = staged_environment(built.file, node)
            assert time.monotonic() - begun < 5, (call, number)
            assert tree(environment.parent.parent) == wanted, (call, number)
            assert {path.suffix for path in environment.parents[2].iterdir()} == {"", ".lock"}, (call, number)
    return kills


@needs_strace
def test_a_kill_before_any_of_the_last_calls_leaves_nothing_torn(built: BuiltImage, tmp_path: Path) -> None:
    assert kill_everywhere(built, tmp_path, most=2).total() >= 2 * len(CHANGING) - 4


@needs_strace
@pytest.mark.whole
def test_a_kill_before_any_of_sixty_calls_of_each_kind_leaves_nothing_torn(built: BuiltImage, tmp_path: Path) -> None:
    assert kill_everywhere(built, tmp_path, most=60).total() > 200


def test_of_sixteen_processes_one_unpacks_and_all_get_its_tree(built: BuiltImage, tmp_path: Path) -> None:
    node = tmp_path / "node"
    node.mkdir()
    started = [
        subprocess.Popen([*stage(built, node), "wait"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(16)
    ]
    for process in started:
        assert process.stdout is not None
        process.stdout.readline()
    log = tmp_path / "unpacked"
    with subprocess.Popen(["strace", "-f", "-o", log, "-e", "trace=rename", *(f"-p{each.pid}" for each in started)], stderr=subprocess.PIPE, text=True) as tracer:  # fmt: skip
        assert tracer.stderr is not None
        for _ in started:
            tracer.stderr.readline()  # "attached"
        for process in started:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        said = {process.communicate()[0] for process in started}
    assert [process.returncode for process in started] == [0] * 16
    assert len(said) == 1
    renamed = [line for line in log.read_text().splitlines() if "rename(" in line]
    assert len(renamed) == 1
    assert hex_of(built.head.tree) in renamed[0]


def test_the_others_go_on_within_five_seconds_when_the_first_is_killed(built: BuiltImage, tmp_path: Path) -> None:
    node = tmp_path / "node"
    node.mkdir()
    slow = ["strace", "-f", "-o", "/dev/null", "-e", "trace=mkdir", "--inject=mkdir:delay_enter=300000"]
    with subprocess.Popen(stage(built, node, *slow), stdout=subprocess.PIPE, start_new_session=True) as first:
        place = node / f"storectl-{os.getuid()}"
        while not list(place.glob(".tmp-*/environments")):
            time.sleep(0.01)
        others = [subprocess.Popen(stage(built, node), stdout=subprocess.PIPE, text=True) for _ in range(3)]
        for other in others:
            assert other.stdout is not None
            other.stdout.readline()
        os.killpg(first.pid, 9)
    begun = time.monotonic()
    said = {other.communicate()[0] for other in others}
    assert time.monotonic() - begun < 5
    assert len(said) == 1
    assert [other.returncode for other in others] == [0, 0, 0]
