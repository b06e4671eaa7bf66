"""PDM's configuration of builds: ``PDM_BUILD_ISOLATION=0`` builds without isolation."""

from collections.abc import Mapping

from storectl_daemon.building.build_options import BuildOptions, Names
from storectl_store.selection.settings_files import is_true


def pdm_build_options(environ: Mapping[str, str]) -> BuildOptions:
    """The build options that PDM would obey."""
    isolation = environ.get("PDM_BUILD_ISOLATION")
    return BuildOptions(unisolated=Names(everything=bool(isolation) and not is_true(isolation)))
