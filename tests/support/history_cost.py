"""What the history of a project costs: the way of a switch of branches, and that of a new environment."""

import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path

from packaging.utils import NormalizedName

from storectl_daemon.jobs.options import Job
from storectl_daemon.projects.histories import Granted, Histories
from storectl_daemon.projects.settled_head import settled_head
from storectl_store.digest import EnvironmentId, digest_of_hex
from storectl_store.entries.store import Store
from storectl_store.projects.history import MOST_LINES, history_file
from storectl_store.projects.kept_inputs import KeptInputs, KeptWheel
from support.project import git

WHEELS, FILES_OF_EACH, ROUNDS = 300, 5, 200


def hexadecimal(text: str) -> str:
    """64 hex digits that stand for this text."""
    return sha256(text.encode()).hexdigest()


def lock_file() -> bytes:
    """As large as that of 300 projects: 330 kB."""
    files = [
        f'  {{ url = "https://files.example/{hexadecimal(f"{number} {each}")}/p{number}-1.0-cp3{each}-manylinux.whl", '
        f'hash = "sha256:{hexadecimal(f"{each} {number}")}", size = {number * each} }},\n'
        for number in range(WHEELS)
        for each in range(FILES_OF_EACH)
    ]
    return "".join(files).encode()


def kept(project: Path, content: bytes) -> KeptInputs:
    """What is kept of an environment of 300 wheels."""
    wheels = (
        KeptWheel(name=NormalizedName(f"p{number}"), version="1.0", digest=digest_of_hex(hexadecimal(str(number))))
        for number in range(WHEELS)
    )
    return KeptInputs(
        lock_file=project / "uv.lock",
        executable="/usr/bin/python3",
        version="3.12.1",
        interpreter_identity="a" * 64,
        wheels=tuple(wheels),
        files={project / "uv.lock": content, project / "pyproject.toml": b"x" * 2000},
    )


def grant(name: str, of: KeptInputs | None = None) -> Granted:
    """A grant of the environment of this name."""
    environment = EnvironmentId(hexadecimal(name)[:32])
    return Granted(environment=environment, inputs=hexadecimal(f"inputs of {name}"), variables={}, kept=of)


def milliseconds(work: Callable[[int], object], rounds: int) -> str:
    """The median processor time of one round."""
    spent = []
    for number in range(rounds):
        before = time.process_time_ns()
        work(number)
        spent.append((time.process_time_ns() - before) / 1e6)
    return f"{statistics.median(spent):.3f} ms"


def measure(root: Path) -> None:
    """Print a line for each way."""
    project, content = root / "project", lock_file()
    project.mkdir()
    git(project, "init", "-q")
    git(project, "commit", "-q", "--allow-empty", "-m", "one")
    with closing(Store.open(root / "store")) as store:
        histories, job = Histories(store), Job(project=project)

        def tell(granted: Granted) -> None:
            if histories.is_news(job, granted):
                histories.granted(job, granted, settled_head(project, environ={}))

        def new(number: int) -> None:
            tell(grant(str(number), kept(project, content + str(number).encode())))

        def seen_before(number: int) -> None:
            assert histories.before(job, hexadecimal(f"inputs of {MOST_LINES + number % 2}"))

        print(f"a new environment ({len(content)} bytes, {WHEELS} wheels): {milliseconds(new, MOST_LINES + 2)}")
        print(f"a switch, until the record is written: {milliseconds(seen_before, ROUNDS)}")
        switch = milliseconds(lambda number: tell(grant(str(MOST_LINES + number % 2))), ROUNDS)
        print(f"a switch, afterwards: {switch}")
        print(f"the history: {len(history_file(store.layout, project).read_bytes())} bytes")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder))
