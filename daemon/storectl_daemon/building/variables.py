"""The variables of a command that a build sees, and those of them that its result depends on.

A build gets all variables of the command that asked for it, as under uv, except three kinds (see docs/adr/0019):

- those that name the git repository that the command runs in (``git rev-parse --local-env-vars``, and what hooks set);
- those that change what Python itself does: they are meant for a program, and a backend is none;
- storectl's own, and those of another virtual environment.

A result depends on every variable that the build looked up (``observer`` notes them), even if it was not set. It also
depends on those that native tools read without a trace. Variables that differ in every shell never count.
"""

import re
from collections.abc import Iterable, Mapping

_OF_A_REPOSITORY_NAMES = """
    GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_ATTR_SOURCE GIT_COMMON_DIR GIT_CONFIG GIT_CONFIG_PARAMETERS GIT_DIR
    GIT_GLOB_PATHSPECS GIT_GRAFT_FILE GIT_ICASE_PATHSPECS GIT_IMPLICIT_WORK_TREE GIT_INDEX_FILE GIT_INDEX_VERSION
    GIT_INTERNAL_SUPER_PREFIX GIT_LITERAL_PATHSPECS GIT_NAMESPACE GIT_NOGLOB_PATHSPECS GIT_NO_REPLACE_OBJECTS
    GIT_OBJECT_DIRECTORY GIT_PREFIX GIT_QUARANTINE_PATH GIT_REFLOG_ACTION GIT_REPLACE_REF_BASE GIT_SHALLOW_FILE
    GIT_WORK_TREE
    """
_OF_A_REPOSITORY = frozenset(_OF_A_REPOSITORY_NAMES.split())
_OF_PYTHON_NAMES = """
    PYTHONASYNCIODEBUG PYTHONBREAKPOINT PYTHONCASEOK PYTHONDEBUG PYTHONDEVMODE PYTHONDUMPREFS PYTHONDUMPREFSFILE
    PYTHONEXECUTABLE PYTHONFAULTHANDLER PYTHONHOME PYTHONINSPECT PYTHONINTMAXSTRDIGITS PYTHONMALLOC PYTHONMALLOCSTATS
    PYTHONNODEBUGRANGES PYTHONOPTIMIZE PYTHONPATH PYTHONPERFSUPPORT PYTHONPLATLIBDIR PYTHONPROFILEIMPORTTIME
    PYTHONSAFEPATH PYTHONSTARTUP PYTHONTHREADDEBUG PYTHONTRACEMALLOC PYTHONUSERBASE
    PYTHONVERBOSE PYTHONWARNDEFAULTENCODING
    PYTHONWARNINGS PYTHON_BASIC_REPL PYTHON_CONTEXT_AWARE_WARNINGS PYTHON_CPU_COUNT PYTHON_FROZEN_MODULES PYTHON_GIL
    PYTHON_HISTORY PYTHON_JIT PYTHON_PERF_JIT_SUPPORT PYTHON_PRESITE PYTHON_THREAD_INHERIT_CONTEXT PYTHON_TLBC
    __PYVENV_LAUNCHER__ VIRTUAL_ENV_PROMPT
    """
_OF_PYTHON = frozenset(_OF_PYTHON_NAMES.split())
SET_BY_US = frozenset({"PATH", "VIRTUAL_ENV", "PYTHONIOENCODING"})
"""Variables that every build has, with values that are not the command's."""

_PIP_KEPT = frozenset({"PIP_CACHE_DIR", "PIP_NO_CACHE_DIR", "PIP_DEFAULT_TIMEOUT", "PIP_TIMEOUT", "PIP_RETRIES"})
_NOISE_NAMES = """
    _ BASHOPTS COLORTERM COLUMNS CLICOLOR CLICOLOR_FORCE DBUS_SESSION_BUS_ADDRESS DISPLAY EDITOR FORCE_COLOR
    HISTFILE HOME
    HOSTNAME LANG LANGUAGE LINES LOGNAME LS_COLORS MAIL MANPATH NETRC NO_COLOR OLDPWD PAGER PS1 PWD
    PYTHONDONTWRITEBYTECODE PYTHONNOUSERSITE
    PYTHONHASHSEED PYTHONPYCACHEPREFIX PYTHONUNBUFFERED PYTHONUTF8 SHELL SHLVL SSH_AGENT_PID SSH_AUTH_SOCK SSH_CLIENT
    SSH_CONNECTION SSH_TTY TEMP TERM TERM_PROGRAM TERM_PROGRAM_VERSION TMP TMPDIR TMUX TTY_COMPATIBLE
    TTY_INTERACTIVE USER
    USERNAME VISUAL WINDOWID XAUTHORITY
    """
_NOISE = SET_BY_US | frozenset(_NOISE_NAMES.split())
_NOISY = re.compile(
    r"(LC_|XDG_|PEP517_|_PYPROJECT_HOOKS_|VSCODE_|STORECTL)"
    r"|(https?|all|no|ftp)_proxy$|(REQUESTS|CURL)_CA_BUNDLE$|SSL_CERT_",
    re.IGNORECASE,
)
_PLAIN = re.compile(r"[^\s=]+")
_NATIVE = re.compile(
    r"(AR|AS|CC|CPP|CXX|F77|F90|FC|LD|LDSHARED|LDCXXSHARED|NM|OBJC|RANLIB|STRIP|SHLIB_SUFFIX)$"
    r"|(ARFLAGS|ARCHFLAGS|CFLAGS|CPPFLAGS|CXXFLAGS|FFLAGS|FCFLAGS|LDFLAGS|OPT|BASECFLAGS|RUSTFLAGS|NVCC_\w+_FLAGS)$"
    r"|(CPATH|C_INCLUDE_PATH|CPLUS_INCLUDE_PATH|LIBRARY_PATH|LD_RUN_PATH|COMPILER_PATH|GCC_EXEC_PREFIX)$"
    r"|(MACOSX_DEPLOYMENT_TARGET|SDKROOT|SOURCE_DATE_EPOCH|_PYTHON_HOST_PLATFORM|CONDA_BUILD_SYSROOT)$"
    r"|(CMAKE_|PKG_CONFIG|MESON|NINJA|CARGO_(BUILD|TARGET|PROFILE|ENCODED|FEATURE)|CC_|CXX_|CFLAGS_|CXXFLAGS_)"
    r"|(RUSTC|RUSTC_WRAPPER|RUSTUP_TOOLCHAIN|CUDA_HOME|CUDA_PATH|JAVA_HOME|GOFLAGS|GOARCH|GOOS|CGO_\w+)$"
)


OFTEN_READ = frozenset(
    ["AR", "CC", "CFLAGS", "CPPFLAGS", "CXX", "CXXFLAGS", "LD", "LDFLAGS", "CMAKE_ARGS", "PKG_CONFIG_PATH", "RUSTFLAGS"]
)
"""Variables of native tools that people set. Every build notes them, so that its record tells when one appears."""


def build_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """The command's variables as a build sees them. ``Isolation`` adds PATH and VIRTUAL_ENV of its environment.

    pip's own variables are left out, except those for its cache folder, timeout and retries; ``pip_variables`` sets the
    others.
    """
    return {name: value for name, value in environ.items() if not _is_left_out(name)}


def _is_left_out(name: str) -> bool:
    return (
        name in _OF_A_REPOSITORY
        or name in _OF_PYTHON
        or name.startswith(("STORECTL", "GIT_PUSH_OPTION_", "UV_INTERNAL"))
        or (name.startswith("PIP_") and name not in _PIP_KEPT)
    )


def may_count(name: str) -> bool:
    """Whether a result can depend on this variable: the build sees the command's value, and it means something."""
    return (
        _PLAIN.fullmatch(name) is not None
        and name not in _NOISE
        and not _NOISY.match(name)
        and not _is_left_out(name)
        and not name.startswith("PIP_")
    )


def native_names(environ: Mapping[str, str]) -> frozenset[str]:
    """The variables in ``environ`` that compilers and similar tools read without a trace."""
    return frozenset(name for name in environ if _NATIVE.match(name))


def counted(looked_up: Iterable[str], environ: Mapping[str, str]) -> frozenset[str]:
    """The names that a build depends on, if it looked up ``looked_up`` and was given ``environ``."""
    return frozenset(name for name in looked_up if may_count(name)) | native_names(environ)
