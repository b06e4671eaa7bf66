"""`storectl layer`: the stores below the own one, which the settings name, and whether each of them is used.

The layers are looked at by this process, by their files: it works without a daemon, and where nothing can be written.
"""

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from storectl.commands.output import count_text, print_json, print_lines, print_table
from storectl.commands.parameters import Group, as_json
from storectl.errors import ClientError, UsageError

if TYPE_CHECKING:
    from storectl_store.entries.layer_settings import LayerSettings
    from storectl_store.errors import LayerError

ANSWER_SECONDS = 2.0
"""How long a layer may take to answer, as in the daemon."""


@click.group(cls=Group)
def layer() -> None:
    """Stores of others, below your own, whose wheels and environments you use."""


@layer.command("list")
@as_json
def list_layers(*, json: bool) -> None:
    """Print the layers in the order in which they are asked, and which of them are used."""
    layers, problems = _looked_at()
    if json:
        print_json({"layers": layers, "problems": problems})
        return
    print_table(
        ("layer", "state", "holds", "named in"),
        [(each["path"], "used" if each["used"] else "left out", _holds(each), each["said_in"]) for each in layers],
    )
    _print_problems([*problems, *(each["problem"] for each in layers if each["problem"])])


@layer.command()
@click.argument("paths", metavar="[PATH]...", nargs=-1)
@as_json
def check(paths: tuple[str, ...], *, json: bool) -> None:
    """Say of each layer why it is not used. Exit code 1 if one is not.

    Of PATH it says whether it could be a layer.
    """
    layers, problems = _looked_at(paths)
    wrong = [*problems, *(each["problem"] for each in layers if each["problem"])]
    if json:
        print_json({"layers": layers, "problems": problems})
    else:
        print_lines(*(f"{each['path']}: used, {_holds(each)}" for each in layers if each["used"]))
        _print_problems(wrong)
    if wrong:
        raise click.exceptions.Exit(1)


@layer.command()
@click.argument("path", metavar="PATH")
@click.option("--owner", metavar="USER", help="Whose files they are, if they are not yours or root's.")
@click.option("--builds", is_flag=True, help="Use wheels that were built there from sources, too.")
def add(path: str, *, owner: str | None, builds: bool) -> None:
    """Use the store in the folder PATH as a layer, from the next warm on."""
    from storectl_store.entries.layer_settings import LayerSettings, read_layer_settings, user_file  # noqa: PLC0415

    root = os.path.abspath(path)
    settings = LayerSettings(path=Path(root), owner=owner, builds="trusted" if builds else None)
    problem = _look_at(settings)["problem"]
    if problem:
        raise ClientError(problem["detail"], code=problem["code"], hint=problem["hint"])
    file = user_file(os.environ)
    if file is None:
        raise UsageError("there is no home folder to keep settings in", hint="set XDG_CONFIG_HOME")
    if any(str(known.path) == root and known.said_in == str(file) for known in read_layer_settings(os.environ).layers):
        print_lines(f"{root} is in {file} already")
        return
    _append(file, _as_toml(root, owner, builds=builds))
    print_lines(f"added to {file}: {root}; `storectl warm` uses it")


def _looked_at(paths: Sequence[str] = ()) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The layers of the settings, or these folders as the settings say of them; and what is wrong in the settings."""
    from storectl_store.entries.layer_settings import LayerSettings, read_layer_settings  # noqa: PLC0415 - not for help

    read = read_layer_settings(os.environ)
    named: Sequence[LayerSettings] = read.layers
    if paths:
        known = {str(each.path): each for each in read.layers}
        roots = [os.path.abspath(path) for path in paths]
        named = [known.get(root) or LayerSettings(path=Path(root), said_in="") for root in roots]
    return [_look_at(each) for each in named], [_problem(each) for each in read.problems]


def _look_at(settings: "LayerSettings") -> dict[str, Any]:
    """What is to be told of one layer. One that does not answer is told as that."""
    found: dict[str, Any] = {"entries": None, "environments": None, "problem": None}
    answered = threading.Event()

    def look() -> None:
        found.update(_opened(settings))
        answered.set()

    threading.Thread(target=look, daemon=True).start()
    if not answered.wait(ANSWER_SECONDS):
        found = {
            "entries": None,
            "environments": None,
            "problem": {
                "code": "E_LAYER",
                "detail": f"the layer {settings.path} does not answer",
                "hint": "its file system waits for a server: try again, or take it out of the settings",
            },
        }
    return {
        "path": str(settings.path),
        "owner": settings.owner,
        "builds": settings.builds,
        "socket": None if settings.socket is None else str(settings.socket),
        "said_in": settings.said_in,
        "used": found["problem"] is None,
        **found,
    }


def _opened(settings: "LayerSettings") -> dict[str, Any]:
    from storectl_store.entries.layers import open_layer  # noqa: PLC0415 - not for help
    from storectl_store.errors import LayerError  # noqa: PLC0415 - not for help

    try:
        store = open_layer(settings).store
        environments = [name for name in os.listdir(store.layout.environments) if store.environment(name)]
        return {"entries": len(list(store.digests())), "environments": len(environments), "problem": None}
    except LayerError as error:
        return {"problem": _problem(error)}
    except OSError as error:
        return {"problem": {"code": "E_LAYER", "detail": f"{settings.path}: {error.strerror}", "hint": None}}


def _problem(error: "LayerError") -> dict[str, Any]:
    return {"code": error.code, "detail": error.message, "hint": error.hint}


def _holds(found: dict[str, Any]) -> str:
    if found["entries"] is None:
        return ""
    return f"{count_text(found['entries'], 'wheel')}, {count_text(found['environments'], 'environment')}"


def _print_problems(problems: Sequence[dict[str, Any]]) -> None:
    for problem in problems:
        print_lines(
            f"{problem['code']}: {problem['detail']}", *([f"hint: {problem['hint']}"] if problem["hint"] else [])
        )


def _as_toml(root: str, owner: str | None, *, builds: bool) -> str:
    lines = ["[[layers]]", f"path = {_quoted(root)}"]
    lines += [f"owner = {_quoted(owner)}"] if owner is not None else []
    lines += ['builds = "trusted"'] if builds else []
    return "\n".join([*lines, ""])


def _quoted(text: str) -> str:
    """The text as a string of TOML. Raises UsageError for what cannot stand in one line of it."""
    if not text.isprintable():
        raise UsageError(f"{text!r} cannot stand in a file of settings", hint="rename the folder")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _append(file: Path, table: str) -> None:
    """Add the table at the end, where it belongs to nothing before it. Raises ClientError if that cannot be."""
    import tomllib  # noqa: PLC0415 - only here

    try:
        before = file.read_text() if file.exists() else ""
        after = before + ("\n" if before and not before.endswith("\n\n") else "") + table
        tomllib.loads(after)
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        stage = file.with_name(f"{file.name}.{os.getpid()}")
        with open(os.open(stage, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w") as stream:
            stream.write(after)
        stage.replace(file)
    except OSError as error:
        raise ClientError(
            f"cannot write {file}: {error.strerror}", code="E_LAYER", hint="name the layer in STORECTL_LAYERS"
        ) from None
    except ValueError as error:
        raise ClientError(
            f"{file} cannot take a layer: {error}",
            code="E_LAYER",
            hint="correct it there, and take out `layers = [...]`",
        ) from None
