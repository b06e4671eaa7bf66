"""A published environment with bytecode, and packs for it; where a module of it came from."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from storectl_store.digest import EnvironmentId
from storectl_store.entries.bytecode.compile import compile_entries
from storectl_store.entries.layout import StoreLayout
from storectl_store.environments.environment_record import EnvironmentRecord, read_environment
from storectl_store.environments.pack import write_pack
from storectl_store.environments.publish import publish_environment
from support.environments import add_entry, ask_interpreter, plan_of, store_at
from support.views import Python
from support.wheels import WheelBytes


@dataclass(frozen=True, kw_only=True)
class PackedPlace:
    """One environment in a store of its own."""

    layout: StoreLayout
    folder: Path
    home: Path

    @property
    def record(self) -> EnvironmentRecord:
        return read_environment(self.folder)

    @property
    def pack(self) -> Path:
        return self.layout.pack(EnvironmentId(self.folder.name))

    @property
    def site_packages(self) -> Path:
        (found,) = self.folder.glob("lib/python*/site-packages")
        return found

    @property
    def imports(self) -> Path:
        """Where its programs leave their record."""
        return Path(f"{self.home}/.cache/storectl/imports{self.folder}")

    def make_pack(self, *modules: str) -> tuple[str, ...]:
        return write_pack(self.layout, self.record, modules, tmp=self.layout.tmp)

    def run(
        self, program: str, *flags: str, environ: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.folder / "bin/python"), *flags, "-c", program],
            env={"PATH": os.environ["PATH"], "HOME": str(self.home), **(environ or {})},
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
        )

    def shown(self, program: str, *flags: str, environ: Mapping[str, str] | None = None) -> str:
        """What the program prints, with nothing on stderr."""
        done = self.run(program, *flags, environ=environ)
        assert (done.returncode, done.stderr) == (0, ""), f"exit {done.returncode}: {done.stderr}"
        return done.stdout.strip()

    def say_file(self, *modules: str) -> None:
        """Take the word ``PACK`` for ``FILE`` in source and bytecode: whatever still says ``PACK`` is from a pack."""
        for module in modules:
            source = (self.site_packages / module).resolve()
            for path in (source, *source.parent.glob(f"__pycache__/{source.stem}.*.pyc")):
                path.chmod(0o644)
                path.write_bytes(path.read_bytes().replace(b"PACK", b"FILE"))


def packed_place(root: Path, python: Python, *wheels: WheelBytes) -> PackedPlace:
    """These wheels with bytecode, in a store below the root; no pack yet."""
    store, interpreter = store_at(root.resolve() / "store"), ask_interpreter(python.executable)
    manifests = [add_entry(store.layout, wheel) for wheel in wheels]
    for folder in (store.layout.tmp, store.layout.meta, root / "home"):
        folder.mkdir(parents=True)
    folder = publish_environment(store, plan_of(manifests, interpreter, store.layout))
    compile_entries(store.layout, manifests, interpreter, processes=1, tmp=store.layout.tmp)
    return PackedPlace(layout=store.layout, folder=folder, home=root.resolve() / "home")
