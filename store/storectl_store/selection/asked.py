"""The options of a command as values by name, and what they ask a selection for.

The names are those of ``POST /v1/warm`` and of ``storectl_shim.project_record.options_key``. One that is missing has
its default.
"""

from collections.abc import Mapping
from typing import Any

from storectl_store.selection.target import Interpreter, Target


def target_of(options: Mapping[str, Any], interpreter: Interpreter) -> Target:
    """The target: these options on this interpreter."""
    only_groups = bool(options.get("only_groups"))
    return Target(
        interpreter=interpreter,
        extras=frozenset(options.get("extras", ())),
        all_extras=bool(options.get("all_extras")),
        no_extras=frozenset(options.get("no_extras", ())),
        groups=frozenset(options.get("groups", ())),
        all_groups=bool(options.get("all_groups")),
        no_groups=frozenset(options.get("no_groups", ())),
        dev=bool(options.get("dev")),
        default_groups=options.get("default_groups", True) and not only_groups,
        project=not only_groups,
        member=options.get("member"),
        all_members=bool(options.get("all_packages")),
    )
