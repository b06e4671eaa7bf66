"""PDM's configuration of builds: its variables.

PDM_NO_BINARY, PDM_ONLY_BINARY    names, or ``:all:``, separated by commas
PDM_BUILD_ISOLATION=0             builds without isolation
"""

from collections.abc import Mapping

from storectl_daemon.building.build_options import BuildOptions
from storectl_daemon.building.pip_build import names_of
from storectl_daemon.config_files import is_true
from storectl_store.selection.formats import Formats, Names
from storectl_store.selection.requirements_formats import FormatControl


def pdm_build_options(environ: Mapping[str, str]) -> BuildOptions:
    """What PDM would obey."""
    control = FormatControl()
    for option in ("no-binary", "only-binary"):
        if text := environ.get(f"PDM_{option.upper().replace('-', '_')}"):
            control.apply(f"--{option}", text)
    isolation = environ.get("PDM_BUILD_ISOLATION")
    return BuildOptions(
        formats=Formats(
            wheels_only=names_of(control.only_binary, "PDM_ONLY_BINARY"),
            sources_only=names_of(control.no_binary, "PDM_NO_BINARY"),
        ),
        unisolated=Names(everything=bool(isolation) and not is_true(isolation), option="PDM_BUILD_ISOLATION"),
    )
