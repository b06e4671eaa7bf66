"""`storectl image`: an environment as one file, for nodes that have no store."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from storectl.commands.output import count_text, print_json, print_lines, size_text
from storectl.commands.parameters import PASS_ON, Group, as_json, folder, options_of, target
from storectl.daemon.warming import warm
from storectl.errors import ImageProblemError, UsageError
from storectl.images.place import node_folder
from storectl.images.problems import image_problems
from storectl.images.running import main as run_main
from storectl.project import locate_member

if TYPE_CHECKING:
    from storectl_store.images.image_head import ImageHead

SUFFIX = ".storectl-image"

to_option = click.option("--to", metavar="DIR", help="Where to stage; otherwise $STORECTL_NODE_DIR, or a TMPDIR.")
memory_option = click.option("--memory", is_flag=True, help="Stage in memory, below /dev/shm; a job pays for that.")


@click.group(cls=Group)
def image() -> None:
    """Environments as one file each, for nodes that have no store."""


class WithProgram(click.Command):
    """A command after whose ``--`` a program of the user's stands, which is left in ``program``."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """Take the program away, then parse what is before it."""
        own = args[: args.index("--")] if "--" in args else args
        context.meta[f"{__name__}.program"] = args[len(own) + 1 :]
        return super().parse_args(context, own)


@image.command(cls=WithProgram)
@folder
@click.option("-o", "--output", metavar="FILE", help=f"The image; otherwise the project's name and {SUFFIX}.")
@click.option("--hot", is_flag=True, help="Take only the files that the program after -- opens; link to the others.")
@click.option("--squashfs", is_flag=True, help="Make a squashfs, which root mounts, instead of an archive.")
@click.option("--plain", is_flag=True, help="Do not compress, for a copy that is compressed on its way.")
@target
@as_json
@click.pass_context
def build(
    context: click.Context,
    /,
    folder: str,
    *,
    output: str | None,
    hot: bool,
    squashfs: bool,
    plain: bool,
    json: bool,
    **asked: Any,
) -> None:
    """Write the environment of a project as one file. --hot runs the program after -- once, and takes what it opens."""
    from storectl.images.recording import record_run  # noqa: PLC0415 - other commands need less
    from storectl_store.images.building import ImageOrder, build_image, folders_to_watch  # noqa: PLC0415 - as above

    program: list[str] = context.meta[f"{__name__}.program"]
    if hot != bool(program):
        raise UsageError("--hot and a program after -- go together", hint="storectl image build --hot -- script.py")
    options = options_of(**asked)
    root, lock_file, options = locate_member([folder], options, os.environ)
    environment = warm(root, options, os.environ, bytecode=True).path
    used = None
    with image_problems():
        if hot:
            folders = folders_to_watch(Path(environment))
            used = record_run(environment, program, folders, _recorded_environ(environment))
        order = ImageOrder(
            environment=Path(environment),
            file=Path(output or f"{os.path.basename(root) or 'root'}{SUFFIX}").absolute(),
            compressed=not plain,
            squashfs=squashfs,
            used=used,
            lock_file=Path(options.lock_file or lock_file),
            options=tuple(options.key.split()),
            umask=_umask(),
        )
        head = build_image(order)
    _print(head, str(order.file), json=json)


def _recorded_environ(environment: str) -> dict[str, str]:
    from storectl.program import program_environ  # noqa: PLC0415 - only a recorded run needs it

    return program_environ(environment, os.environ)


def _umask() -> int:
    umask = os.umask(0o077)
    os.umask(umask)
    return umask


@image.command()
@click.argument("file", metavar="FILE")
@to_option
@memory_option
@as_json
def stage(file: str, *, to: str | None, memory: bool, json: bool) -> None:
    """Unpack an image on this node, unless it is, and print its environment. Of many at once one unpacks it."""
    from storectl_store.images.staging import staged_environment  # noqa: PLC0415 - as above

    node = node_folder(to, os.environ, memory=memory)
    with image_problems():
        environment = str(staged_environment(Path(file).absolute(), Path(node)))
    if json:
        print_json({"environment": environment})
    else:
        print_lines(environment)


@image.command(context_settings=PASS_ON, add_help_option=False)
@click.argument("arguments", metavar="FILE PROGRAM [ARGUMENTS]...", nargs=-1, type=click.UNPROCESSED)
def run(arguments: tuple[str, ...]) -> None:
    """Run a program in the environment of an image, staged before if it is not. See storectl image run --help."""
    raise click.exceptions.Exit(run_main(list(arguments)))


@image.command()
@click.argument("file", metavar="FILE")
@as_json
def show(file: str, *, json: bool) -> None:
    """Print what an image says of itself. Little of it is read, and nothing is checked."""
    from storectl_store.images.staging import head_at  # noqa: PLC0415 - as above

    with image_problems():
        head = head_at(Path(file).absolute())
    _print(head, file, json=json)


@image.command()
@click.argument("file", metavar="FILE")
def verify(file: str) -> None:
    """Read all of an image, and say whether it is whole."""
    from storectl_store.images.reading import Nothing, read_image  # noqa: PLC0415 - as above

    with image_problems():
        head = read_image(Path(file).absolute(), Nothing())
    print_lines(f"{file} is whole: {head.tree}")


@image.command()
@click.argument("file", metavar="[FILE]", required=False)
@to_option
@memory_option
def unstage(file: str | None, *, to: str | None, memory: bool) -> None:
    """Delete an image that is staged on this node; without FILE all of yours."""
    from storectl_store.images.staging import unstage as delete  # noqa: PLC0415 - as above

    node = node_folder(to, os.environ, memory=memory)
    with image_problems():
        deleted = delete(Path(node), None if file is None else Path(file).absolute())
    if file is not None and not deleted:
        raise ImageProblemError(f"{file} is not staged in {node}", hint="--to names another folder")
    print_lines(*(f"deleted: {path}" for path in deleted))


def _print(head: "ImageHead", file: str, *, json: bool) -> None:
    if json:
        names = ("environment", "executable", "kind", "layers", "local", "lock", "members", "platform", "size", "tree")
        print_json({"path": file, **{name: getattr(head, name) for name in names}, "python": head.version})
        return
    amount = f"{count_text(head.members, 'file, folder or link', 'files, folders and links')}, {size_text(head.size)}"
    print_lines(
        f"image: {file}",
        f"{head.kind}, Python {head.version} ({head.executable}), {head.platform}: {amount}",
        f"environment: {head.environment}",
        f"tree: {head.tree}",
        *(f"needs the layer: {layer}" for layer in head.layers),
        *(f"not in it, imported from its folder: {folder}" for folder in head.local),
    )
