"""Images of environments of wheels of the factory, and archives that are no right ones."""

import gzip
import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from storectl_store.environments.publish import publish_environment
from storectl_store.images.building import ImageOrder, build_image
from storectl_store.images.image_head import HEAD_NAME, ImageHead, TreeDigest, decode_head, encode_head
from storectl_store.selection.target import Interpreter
from support.environments import ask_interpreter, interpreters, plan_of
from support.stores import written_store
from support.wheels import WheelBytes


@dataclass(frozen=True, kw_only=True)
class BuiltImage:
    """An environment in a store below ``root``, and its image."""

    root: Path
    environment: Path
    file: Path
    head: ImageHead

    @property
    def node(self) -> Path:
        """A folder to stage it in."""
        return self.root / "node"

    @property
    def place(self) -> Path:
        return self.node / f"storectl-{os.getuid()}"

    def again(self, name: str, **order: object) -> ImageHead:
        """Build another image, named so, beside the first."""
        return build_image(ImageOrder(environment=self.environment, file=self.root / name, **order))  # type: ignore[arg-type]

    def site_packages(self, environment: Path) -> Path:
        (found,) = environment.glob("lib/python*/site-packages")
        return found


def built_image(root: Path, *wheels: WheelBytes, interpreter: Interpreter | None = None, **order: object) -> BuiltImage:
    """An image of these wheels for this Python, built as ``order`` says."""
    interpreter = interpreter or ask_interpreter(interpreters()[0])
    with written_store(root / "store") as written:
        manifests = [committed.manifest for committed in written.commit(*wheels)]
        plan = plan_of(manifests, interpreter, written.store.layout)
        environment = publish_environment(written.store, plan)
    file = root / "made.storectl-image"
    head = build_image(ImageOrder(environment=environment, file=file, **order))  # type: ignore[arg-type]
    (root / "node").mkdir()
    return BuiltImage(root=root, environment=environment, file=file, head=head)


Members = dict[str, tarfile.TarInfo]


def changed(file: Path, change: Callable[[Members, dict[str, bytes]], list[tarfile.TarInfo]], *, forged: bool) -> None:
    """Write the image anew with the members that ``change`` makes of its own, and with their contents.

    If it is ``forged``, digest and counts in its head are those of the new members.
    """
    with tarfile.open(file) as archive:
        members = {member.name: member for member in archive}
        contents = {name: _content(archive, member) for name, member in members.items() if member.isreg()}
    new = change(members, contents)
    if forged:
        head = decode_head(contents[HEAD_NAME], str(file))
        contents[HEAD_NAME] = encode_head(_forged(head, new, contents))
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for member in new:
            content = contents.get(member.name, b"")
            member.size = len(content) if member.isreg() else 0
            archive.addfile(member, io.BytesIO(content))
    file.write_bytes(gzip.compress(made.getvalue()))


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = archive.extractfile(member)
    assert stream is not None
    return stream.read()


def _forged(head: ImageHead, members: list[tarfile.TarInfo], contents: Mapping[str, bytes]) -> ImageHead:
    digest = TreeDigest()
    for member in {member.name: member for member in members if member.name != HEAD_NAME}.values():
        if member.isdir():
            digest.add_folder(member.name)
        elif member.issym():
            digest.add_link(member.name, member.linkname)
        else:
            content = contents.get(member.name, b"")
            sha256 = hashlib.sha256(content).hexdigest()
            digest.add_file(member.name, len(content), sha256, executable=bool(member.mode & 0o100))
    head = replace(head, members=digest.members, size=digest.size)
    return replace(head, tree=digest.under(head))
