"""One sound lock file of each kind, rich in what the formats have, all of projects that nobody serves.

What they lock by default: `alpha` (wheels for several Pythons), `beta` (an extra, a marker), `gamma` (a wheel by its
address), `lib` (a folder of the project). With the extra `more`: `delta` (a source distribution only) and `epsilon`
(a commit of a repository). In the group `dev`: `zeta`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from storectl_store.selection.lock_file import LockFile, LockKind

FOLDER = Path("/project")
_HOST = "https://index.invalid"
_TAGS = (
    "cp311-cp311-manylinux_2_17_x86_64",
    "cp312-cp312-manylinux_2_17_x86_64",
    "cp312-cp312-win_amd64",
    "cp311-cp311-macosx_11_0_arm64",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundLockFile:
    """A lock file that selects something, by name and content; ``included`` are further files, by name."""

    kind: LockKind
    name: str
    content: str
    included: Mapping[str, str] = field(default_factory=dict)

    def lock_file(self, content: bytes | None = None) -> LockFile:
        """It as it is read from disk, or with another content."""
        return LockFile(
            kind=self.kind,
            path=FOLDER / self.name,
            content=self.content.encode() if content is None else content,
            digest="",
            project=FOLDER,
            pyproject=PYPROJECT.encode(),
            included={str(FOLDER / name): text.encode() for name, text in self.included.items()},
        )

    def with_pyproject(self, pyproject: bytes) -> LockFile:
        """It beside another project file."""
        return replace(self.lock_file(), pyproject=pyproject)


PYPROJECT = """\
[project]
name = "project"
version = "1.0"
requires-python = ">=3.11,<3.14"
dependencies = ["alpha", "beta[fast]", "gamma", "lib"]
optional-dependencies.more = ["delta", "epsilon"]

[dependency-groups]
dev = ["zeta", { include-group = "test" }]
test = []

[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[tool.uv]
default-groups = ["dev"]
sources.lib = { path = "lib", editable = true }
sources.epsilon = { git = "https://git.invalid/epsilon", rev = "main" }

[tool.poetry]
packages = [{ include = "project" }]
dependencies.lib = { path = "lib", develop = true }
group.dev.dependencies.zeta = "*"

[tool.pdm]
distribution = true

[[tool.pdm.source]]
name = "private"
url = "https://index.invalid/simple"
"""


def _digest(name: str) -> str:
    return name.encode().hex().ljust(64, "0")[:64]


def _wheels(name: str, version: str) -> list[str]:
    tags = _TAGS if name == "alpha" else ("py3-none-any",)
    return [f"{name}-{version}-{tag}.whl" for tag in tags]


def _uv_files(name: str, version: str) -> str:
    wheels = "".join(
        f'    {{ url = "{_HOST}/files/{wheel}", hash = "sha256:{_digest(wheel)}", size = 1024, '
        f'upload-time = "2025-01-02T03:04:05Z" }},\n'
        for wheel in _wheels(name, version)
    )
    sdist = f"{name}-{version}.tar.gz"
    return f'sdist = {{ url = "{_HOST}/files/{sdist}", hash = "sha256:{_digest(sdist)}", size = 99 }}\nwheels = [\n{wheels}]\n'


UV = SoundLockFile(
    kind="uv",
    name="uv.lock",
    content=f"""\
version = 1
revision = 3
requires-python = ">=3.11, <3.14"
resolution-markers = ["python_full_version >= '3.12'", "python_full_version < '3.12'"]
supported-markers = ["sys_platform == 'linux'", "sys_platform == 'darwin'"]
conflicts = [[
    {{ package = "project", extra = "more" }},
    {{ package = "project", group = "old" }},
]]

[manifest]
members = ["lib", "project"]

[[package]]
name = "alpha"
version = "1.0"
source = {{ registry = "{_HOST}/simple" }}
resolution-markers = ["python_full_version >= '3.12'", "python_full_version < '3.12'"]
dependencies = [
    {{ name = "beta", marker = "sys_platform != 'win32' or extra == 'extra-7-project-more'" }},
]
{_uv_files("alpha", "1.0")}
[[package]]
name = "beta"
version = "2.0.post1"
source = {{ registry = "{_HOST}/simple" }}
{_uv_files("beta", "2.0.post1")}
[package.optional-dependencies]
fast = [
    {{ name = "gamma", marker = "python_full_version < '3.14'" }},
]

[[package]]
name = "gamma"
version = "3.0"
source = {{ url = "{_HOST}/files/gamma-3.0-py3-none-any.whl" }}
wheels = [
    {{ url = "{_HOST}/files/gamma-3.0-py3-none-any.whl", hash = "sha256:{_digest("gamma")}" }},
]

[package.metadata]
requires-dist = []

[[package]]
name = "delta"
version = "4.0"
source = {{ registry = "{_HOST}/simple" }}
sdist = {{ url = "{_HOST}/files/delta-4.0.tar.gz", hash = "sha256:{_digest("delta")}", size = 44 }}

[[package]]
name = "epsilon"
version = "5.0"
source = {{ git = "https://git.invalid/epsilon?rev=main#{_digest("epsilon")[:40]}" }}

[[package]]
name = "lib"
version = "0.1"
source = {{ editable = "lib" }}

[[package]]
name = "project"
version = "1.0"
source = {{ editable = "." }}
dependencies = [
    {{ name = "alpha" }},
    {{ name = "beta", extra = ["fast"] }},
    {{ name = "gamma", version = "3.0", source = {{ url = "{_HOST}/files/gamma-3.0-py3-none-any.whl" }} }},
    {{ name = "lib" }},
]

[package.optional-dependencies]
more = [
    {{ name = "delta" }},
    {{ name = "epsilon" }},
]

[package.dev-dependencies]
dev = [
    {{ name = "zeta" }},
]

[package.metadata]
requires-dist = [
    {{ name = "alpha" }},
    {{ name = "beta", extras = ["fast"] }},
    {{ name = "delta", marker = "extra == 'more'" }},
    {{ name = "epsilon", marker = "extra == 'more'", git = "https://git.invalid/epsilon?rev=main" }},
    {{ name = "gamma" }},
    {{ name = "lib", editable = "lib" }},
]
provides-extras = ["more"]

[package.metadata.requires-dev]
dev = [{{ name = "zeta" }}]
test = []

[[package]]
name = "zeta"
version = "6.0"
source = {{ registry = "{_HOST}/simple" }}
{_uv_files("zeta", "6.0")}
""",
)


def _pylock_files(name: str, version: str) -> str:
    wheels = "".join(
        f'    {{ name = "{wheel}", url = "{_HOST}/files/{wheel}", size = 1024, upload-time = 2025-01-02T03:04:05Z, '
        f'hashes = {{ sha256 = "{_digest(wheel)}" }} }},\n'
        for wheel in _wheels(name, version)
    )
    return f"wheels = [\n{wheels}]\n"


PYLOCK = SoundLockFile(
    kind="pylock",
    name="pylock.toml",
    content=f"""\
lock-version = "1.0"
environments = ["sys_platform == 'linux'", "sys_platform == 'darwin'"]
requires-python = ">=3.11"
extras = ["more"]
dependency-groups = ["dev", "main"]
default-groups = ["main"]
created-by = "hand"

[[packages]]
name = "alpha"
version = "1.0"
marker = "python_version >= '3.9' and ('main' in dependency_groups or 'dev' in dependency_groups)"
requires-python = ">=3.9"
dependencies = [{{ name = "beta" }}]
index = "{_HOST}/simple"
{_pylock_files("alpha", "1.0")}
[packages.sdist]
name = "alpha-1.0.tar.gz"
url = "{_HOST}/files/alpha-1.0.tar.gz"
size = 99
hashes = {{ sha256 = "{_digest("alpha-1.0.tar.gz")}" }}

[[packages.attestation-identities]]
kind = "GitHub"
repository = "alpha/alpha"

[[packages]]
name = "beta"
version = "2.0.post1"
{_pylock_files("beta", "2.0.post1")}
[packages.tool.hand]
note = "kept"

[[packages]]
name = "gamma"
archive = {{ url = "{_HOST}/files/gamma-3.0-py3-none-any.whl", size = 10, hashes = {{ sha256 = "{_digest("gamma")}" }} }}

[[packages]]
name = "lib"
directory = {{ path = "./lib", editable = true }}

[[packages]]
name = "delta"
version = "4.0"
marker = "'more' in extras"
sdist = {{ url = "{_HOST}/files/delta-4.0.tar.gz", size = 44, hashes = {{ sha256 = "{_digest("delta")}" }} }}

[[packages]]
name = "epsilon"
marker = "'more' in extras"

[packages.vcs]
type = "git"
url = "https://git.invalid/epsilon"
requested-revision = "main"
commit-id = "{_digest("epsilon")[:40]}"
subdirectory = "python"

[[packages]]
name = "zeta"
version = "6.0"
marker = "'dev' in dependency_groups"
{_pylock_files("zeta", "6.0")}
[tool.hand]
answer = 42
""",
)


def _named_files(name: str, version: str) -> str:
    files = [*_wheels(name, version), f"{name}-{version}.tar.gz"]
    lines = "".join(f'    {{file = "{file}", hash = "sha256:{_digest(file)}"}},\n' for file in files)
    return f"files = [\n{lines}]\n"


POETRY = SoundLockFile(
    kind="poetry",
    name="poetry.lock",
    content=f"""\
# This file is made by hand, as Poetry would make it.

[[package]]
name = "alpha"
version = "1.0"
description = "The first"
optional = false
python-versions = ">=3.9"
groups = ["main", "dev"]
markers = {{main = "python_version >= \\"3.9\\"", dev = "sys_platform == \\"linux\\""}}
{_named_files("alpha", "1.0")}
[package.dependencies]
beta = {{version = ">=2.0", markers = "sys_platform != \\"win32\\""}}

[package.extras]
all = ["beta (>=2.0)"]

[[package]]
name = "beta"
version = "2.0.post1"
description = ""
optional = false
python-versions = "*"
groups = ["main"]
{_named_files("beta", "2.0.post1")}
[package.extras]
fast = ["gamma"]

[package.source]
type = "legacy"
url = "{_HOST}/simple"
reference = "private"

[[package]]
name = "gamma"
version = "3.0"
description = ""
optional = false
python-versions = "*"
groups = ["main"]
files = [
    {{file = "gamma-3.0-py3-none-any.whl", hash = "sha256:{_digest("gamma")}"}},
]

[package.source]
type = "url"
url = "{_HOST}/files/gamma-3.0-py3-none-any.whl"

[[package]]
name = "delta"
version = "4.0"
description = ""
optional = true
python-versions = "*"
groups = ["main"]
markers = "extra == \\"more\\""
files = [
    {{file = "delta-4.0.tar.gz", hash = "sha256:{_digest("delta")}"}},
]

[[package]]
name = "epsilon"
version = "5.0"
description = ""
optional = true
python-versions = ">=3.9"
groups = ["main"]
markers = "extra == \\"more\\""
files = []
develop = false

[package.source]
type = "git"
url = "https://git.invalid/epsilon"
reference = "main"
resolved_reference = "{_digest("epsilon")[:40]}"

[[package]]
name = "lib"
version = "0.1"
description = ""
optional = false
python-versions = "*"
groups = ["main"]
files = []
develop = true

[package.source]
type = "directory"
url = "lib"

[[package]]
name = "zeta"
version = "6.0"
description = ""
optional = false
python-versions = "*"
groups = ["dev"]
{_named_files("zeta", "6.0")}
[extras]
more = ["delta", "epsilon"]

[metadata]
lock-version = "2.1"
python-versions = ">=3.11,<3.14"
content-hash = "{_digest("content")}"
""",
)


PDM = SoundLockFile(
    kind="pdm",
    name="pdm.lock",
    content=f"""\
# This file is made by hand, as PDM would make it.

[metadata]
groups = ["default", "dev", "more"]
strategy = ["inherit_metadata"]
lock_version = "4.5.0"
content_hash = "sha256:{_digest("content")}"

[[metadata.targets]]
requires_python = ">=3.11,<3.14"

[[package]]
name = "alpha"
version = "1.0"
requires_python = ">=3.9"
summary = "The first"
groups = ["default", "dev"]
marker = "python_version >= \\"3.9\\""
dependencies = ["beta>=2.0; sys_platform != \\"win32\\""]
{_named_files("alpha", "1.0")}
[[package]]
name = "beta"
version = "2.0.post1"
summary = ""
groups = ["default"]
{_named_files("beta", "2.0.post1")}
[[package]]
name = "beta"
version = "2.0.post1"
extras = ["fast"]
summary = ""
groups = ["default"]
dependencies = ["beta==2.0.post1", "gamma"]
{_named_files("beta", "2.0.post1")}
[[package]]
name = "gamma"
version = "3.0"
url = "{_HOST}/files/gamma-3.0-py3-none-any.whl"
summary = ""
groups = ["default"]
files = [
    {{file = "gamma-3.0-py3-none-any.whl", hash = "sha256:{_digest("gamma")}"}},
]

[[package]]
name = "delta"
version = "4.0"
summary = ""
groups = ["more"]
files = [
    {{file = "delta-4.0.tar.gz", hash = "sha256:{_digest("delta")}"}},
]

[[package]]
name = "epsilon"
version = "5.0"
requires_python = ">=3.9"
git = "https://git.invalid/epsilon"
ref = "main"
revision = "{_digest("epsilon")[:40]}"
summary = ""
groups = ["more"]

[[package]]
name = "lib"
version = "0.1"
path = "./lib"
editable = true
summary = ""
groups = ["default"]

[[package]]
name = "zeta"
version = "6.0"
summary = ""
groups = ["dev"]
{_named_files("zeta", "6.0")}
""",
)


def _pipfile_entry(name: str, version: str, **more: object) -> dict[str, object]:
    hashes = [f"sha256:{_digest(file)}" for file in (*_wheels(name, version), f"{name}-{version}.tar.gz")]
    return {"hashes": hashes, "index": "private", "version": f"=={version}", **more}


PIPFILE = SoundLockFile(
    kind="pipfile",
    name="Pipfile.lock",
    content=json.dumps(
        {
            "_meta": {
                "hash": {"sha256": _digest("content")},
                "pipfile-spec": 6,
                "requires": {"python_version": "3.12"},
                "sources": [{"name": "private", "url": f"{_HOST}/simple", "verify_ssl": True}],
            },
            "default": {
                "alpha": _pipfile_entry("alpha", "1.0", markers="python_version >= '3.9'"),
                "beta": _pipfile_entry("beta", "2.0.post1", extras=["fast"]),
                "gamma": {
                    "file": f"{_HOST}/files/gamma-3.0-py3-none-any.whl",
                    "hashes": [f"sha256:{_digest('gamma')}"],
                },
                "lib": {"editable": True, "path": "./lib"},
            },
            "develop": {"zeta": _pipfile_entry("zeta", "6.0", markers="sys_platform == 'linux'")},
            "more": {
                "delta": {"hashes": [f"sha256:{_digest('delta')}"], "version": "==4.0"},
                "epsilon": {"git": "https://git.invalid/epsilon", "ref": _digest("epsilon")[:40]},
            },
        },
        indent=4,
    )
    + "\n",
)


def _hashes(name: str, version: str) -> str:
    files = (*_wheels(name, version), f"{name}-{version}.tar.gz")
    return "".join(f" \\\n    --hash=sha256:{_digest(file)}" for file in files)


REQUIREMENTS = SoundLockFile(
    kind="requirements",
    name="requirements.txt",
    content=f"""\
# made by hand
--index-url {_HOST}/simple
--extra-index-url {_HOST}/more
--find-links ./wheels
-r more.txt
-c constraints.txt
alpha==1.0 ; python_version >= "3.9"{_hashes("alpha", "1.0")}
beta[fast]==2.0.post1{_hashes("beta", "2.0.post1")}
    # via alpha
gamma @ {_HOST}/files/gamma-3.0-py3-none-any.whl --hash=sha256:{_digest("gamma")}
-e ./lib
""",
    included={
        "more.txt": f"zeta==6.0{_hashes('zeta', '6.0')}\n",
        "constraints.txt": "beta>=2 ; sys_platform == 'linux'\n",
        "lib/pyproject.toml": '[project]\nname = "lib"\nversion = "0.1"\n',
    },
)

SOUND_LOCK_FILES = (UV, PYLOCK, POETRY, PDM, PIPFILE, REQUIREMENTS)
