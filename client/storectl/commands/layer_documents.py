"""What `storectl layer list` and `layer check` print with `--json`: see ``documents``."""

from typing import Annotated, Literal, TypedDict


class LayerProblem(TypedDict):
    """Why a layer is not used, or what is wrong in the settings."""

    code: Annotated[str, "`E_LAYER`"]
    detail: Annotated[str, "a sentence for people"]
    hint: Annotated[str | None, "what to do about it"]


class OneLayer(TypedDict):
    """A store below the own one."""

    path: Annotated[str, "its folder"]
    owner: Annotated[str | None, "the account that may own it, as in the settings; null: this user or root"]
    builds: Annotated[Literal["trusted"] | None, "whether wheels that were built there are used"]
    socket: Annotated[str | None, "of the daemon that keeps it"]
    said_in: Annotated[str, "the file or variable that names it; empty if none does"]
    used: Annotated[bool, "whether it is used"]
    entries: Annotated[int | None, "wheels in it; null if it is not used"]
    environments: Annotated[int | None, "environments in it; null if it is not used"]
    problem: Annotated[LayerProblem | None, "why it is not used"]


class LayerList(TypedDict):
    """The layers, in the order in which they are asked."""

    layers: Annotated[list[OneLayer], "each layer of the settings, or each folder that was asked about"]
    problems: Annotated[list[LayerProblem], "what is wrong in the settings"]
