"""The order in which pip would install a closure. It decides whose file stays if two wheels have the same one.

pip (``resolution/resolvelib/resolver.py``, ``get_topological_weights``) gives each project a weight and installs by
falling (weight, name). It prunes projects without dependencies from the graph, again and again. The projects of one
round all weigh as much as the graph had nodes then, so the deepest dependencies weigh most. What is left are cycles and
all that leads to them; there the weight is the length of the longest simple path from the root. So dependencies come
first. Among equals the order is reverse alphabetical, so the project written *last* is, all else being equal, the
alphabetically first one. As in pip, ``foo[extra]`` is a node of its own that depends on ``foo``.

The root is taken to require every project, as it does if an exported lock file is installed. Two things that pip knows
are not in a manifest. The first are the extras that only the user's project asks for: their edges are missing here. The
second is Requires-Python, a node of pip's graph that nearly every project depends on: the few projects without it weigh
the same as other leaves here, and one round more in pip.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Protocol

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import NormalizedName, canonicalize_name

Graph = dict[str, set[str]]

_ROOT = ""
_PROJECT = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)")
# pip walks every simple path of the cyclic rest, which can be exponential. No real closure comes near this bound.
_MOST_VISITS = 50_000


class Requiring(Protocol):
    """An entry, as far as the order depends on it: an outline, or a manifest."""

    @property
    def name(self) -> NormalizedName:
        """The name of the project."""
        ...

    @property
    def requires_dist(self) -> tuple[str, ...]:
        """The requirements, as the entry's metadata has them."""
        ...


class InstallationOrder:
    """Ranks of projects. They are computed when first asked for: most closures have no conflict and need none."""

    def __init__(self, entries: Sequence[Requiring], markers: Mapping[str, str]) -> None:
        self._entries = {entry.name: entry for entry in entries}
        self._markers = dict(markers)

    def rank(self, project: NormalizedName | None) -> float:
        """The rank in the order; later is greater. None, for storectl itself, comes last."""
        return math.inf if project is None else self._ranks[project]

    @cached_property
    def _ranks(self) -> dict[str, int]:
        weights = topological_weights(self._graph())
        ordered = sorted(self._entries, key=lambda name: (weights[name], name), reverse=True)
        return {name: place for place, name in enumerate(ordered)}

    def _graph(self) -> Graph:
        graph: Graph = {_ROOT: set(self._entries)}
        waiting: list[tuple[NormalizedName, str]] = [(name, "") for name in self._entries]
        while waiting:
            name, extra = waiting.pop()
            node = _node(name, extra)
            if node in graph:
                continue
            graph[node] = {name} if extra else set()
            for child in self._requirements(self._entries[name], extra):
                graph[node].add(_node(*child))
                waiting.append(child)
        return graph

    def _requirements(self, entry: Requiring, extra: str) -> Iterator[tuple[NormalizedName, str]]:
        """Project and extra of each requirement within the closure that holds for this extra ("" for none)."""
        for text in entry.requires_dist:
            match = _PROJECT.match(text)
            if match is None or canonicalize_name(match[1]) not in self._entries:
                continue
            requirement = _parsed(text)
            if requirement is None or not self._holds(requirement, extra):
                continue
            name = canonicalize_name(requirement.name)
            for wanted in sorted(requirement.extras) or [""]:
                yield name, canonicalize_name(wanted) if wanted else ""

    def _holds(self, requirement: Requirement, extra: str) -> bool:
        marker = requirement.marker
        return marker is None or marker.evaluate({**self._markers, "extra": extra})


def topological_weights(graph: Graph) -> dict[str, int]:
    """Weigh the nodes of a graph (node -> its dependencies, the root is "") as pip does. The graph is emptied."""
    weights = _prune_leaves(graph)
    _weigh_cycles(graph, weights)
    return weights


def _prune_leaves(graph: Graph) -> dict[str, int]:
    weights: dict[str, int] = {}
    while leaves := {node for node, children in graph.items() if node != _ROOT and not children}:
        weights.update(dict.fromkeys(leaves, len(graph) - 1))
        for leaf in leaves:
            del graph[leaf]
        for children in graph.values():
            children.difference_update(leaves)
    return weights


def _weigh_cycles(graph: Graph, weights: dict[str, int]) -> None:
    weights.update({node: 1 for node in graph if node != _ROOT})
    visits = 0
    path: list[str] = [_ROOT]
    branches = [iter(sorted(graph[_ROOT]))]
    while branches and visits < _MOST_VISITS:
        node = next(branches[-1], None)
        if node is None:
            branches.pop()
            path.pop()
        elif node not in path:
            visits += 1
            weights[node] = max(weights[node], len(path))
            path.append(node)
            branches.append(iter(sorted(graph[node])))


def _node(name: str, extra: str) -> str:
    return f"{name}[{extra}]" if extra else name


def _parsed(text: str) -> Requirement | None:
    """The requirement; None if it cannot be read: metadata of old wheels has lines that no tool can read."""
    try:
        return Requirement(text)
    except InvalidRequirement:
        return None
