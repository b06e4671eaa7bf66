r"""The one module that joins the store's paths.

<store>/
VERSION  VERSION.copy            "storectl store <format>\n", twice
GENERATION                       of a store that others read: replaced whenever anything was taken out of it
lock                             OFD lock of the one writer; never deleted
start.lock                       flock of the command that starts a daemon
daemon  daemon.sh                address of the daemon's socket, also for the launcher (storectl_shim.store_daemon)
state/                           log and socket of the daemon, if no other folder can have them
store/<name>/<prefix>/           one entry: 0555 folders, 0444 files (0555 if the wheel says executable)
site-packages/  scripts/  data/  headers/
meta/<64 hex>.json               its manifest: entry visible <=> manifest present
meta/<64 hex>.<cache tag>.pyc.json   the side manifest of its bytecode for one interpreter cache tag
environments/<id>/               views
links/<32 hex>  <32 hex>.<32 hex>.copy    the symbolic links, and the copies of files, that views share
packs/<id>                       bytecode that programs of an environment import, once more, in their order
interpreters/<key>.json          what an interpreter said of itself, by path, size and time
roots/<name>                     a pin: an environment that a person wants to keep
roots/<uid>/<id>                 in a store of many users: what one of them keeps alive for an environment
builds/<64 hex>.<16 hex>.json    what a built wheel was built from
git/<32 hex>/                    a bare clone of a repository that sources are commits of
urls/                            what an index said: file name + digest -> address
urls/pages/                      its pages, for conditional requests
projects/<absolute folder>/@storectl/   the record of one project: which environment its lock file has
shortcuts/<start>/@storectl/     what command lines mean, for the launcher (storectl_shim.shortcuts)
variables.key                    32 random bytes: the key of digests of variables
projects.json                    the registered projects
sightings.json                   when the folders of projects were seen, or missed first
ahead.json                       what was made ready before anybody asked for it
collects.json                    what was collected last, and what the first collect by itself would have taken
tmp/<random>/                    stages and downloads of one writer
tmp/<random>/early.<boot id>/<prefix>/   bytecode of an entry that is not durable yet
trash/  quarantine/
index.db                         SQLite, rebuildable from the files at any time
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import NormalizedName

from storectl_shim._storectl_pack import EARLY
from storectl_shim.leases import LEASED
from storectl_shim.shortcuts import shortcuts_folder
from storectl_store.digest import Digest, EnvironmentId, hex_of, prefix_of

STORE_FORMAT = 1

UNPUBLISHED = ".tmp-"
"""The beginning of the name of an environment that is still being made, or never was."""

_REPOSITORY_DIGITS = 32


@dataclass(frozen=True, slots=True)
class StoreLayout:
    """The paths of everything in a store, below one root folder."""

    root: Path

    @property
    def version_file(self) -> Path:
        return self.root / "VERSION"

    @property
    def version_copy(self) -> Path:
        return self.root / "VERSION.copy"

    @property
    def generation(self) -> Path:
        return self.root / "GENERATION"

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    @property
    def entries(self) -> Path:
        return self.root / "store"

    @property
    def meta(self) -> Path:
        return self.root / "meta"

    @property
    def environments(self) -> Path:
        return self.root / "environments"

    @property
    def links(self) -> Path:
        return self.root / "links"

    @property
    def packs(self) -> Path:
        return self.root / "packs"

    @property
    def roots(self) -> Path:
        return self.root / "roots"

    @property
    def interpreters(self) -> Path:
        return self.root / "interpreters"

    @property
    def urls(self) -> Path:
        return self.root / "urls"

    @property
    def builds(self) -> Path:
        return self.root / "builds"

    @property
    def variables_key(self) -> Path:
        return self.root / "variables.key"

    @property
    def repositories(self) -> Path:
        return self.root / "git"

    @property
    def index_pages(self) -> Path:
        return self.urls / "pages"

    @property
    def projects(self) -> Path:
        return self.root / "projects"

    @property
    def shortcuts(self) -> Path:
        return Path(shortcuts_folder(str(self.root)))

    @property
    def projects_file(self) -> Path:
        return self.root / "projects.json"

    @property
    def sightings(self) -> Path:
        return self.root / "sightings.json"

    @property
    def collects(self) -> Path:
        return self.root / "collects.json"

    @property
    def ahead(self) -> Path:
        return self.root / "ahead.json"

    @property
    def tmp(self) -> Path:
        return self.root / "tmp"

    @property
    def trash(self) -> Path:
        return self.root / "trash"

    @property
    def quarantine(self) -> Path:
        return self.root / "quarantine"

    @property
    def index(self) -> Path:
        return self.root / "index.db"

    def entry(self, name: NormalizedName, digest: Digest) -> Path:
        return self.entries / name / prefix_of(digest)

    def entries_of(self, name: NormalizedName) -> Path:
        """The folder with all entries of a project."""
        return self.entries / name

    def entry_at(self, address: str) -> Path:
        """The entry with this ``<name>/<prefix>``, as findings of ``verify`` name it."""
        return self.entries / address

    def manifest(self, digest: Digest) -> Path:
        return Path(self.manifest_text(digest))

    def early_bytecode(self, session: Path, boot: str, digest: Digest | None = None) -> Path:
        """The folder in a writer's session for bytecode, of the entry, that programs of this boot may use already."""
        folder = session / f"{EARLY}{boot}"
        return folder / prefix_of(digest) if digest is not None else folder

    def bytecode_manifest(self, digest: Digest, cache_tag: str) -> Path:
        return Path(self.bytecode_manifest_text(digest, cache_tag))

    # The paths that each warm looks at for each wheel, as texts: to join a Path takes longer than to look at it.

    def manifest_text(self, digest: Digest) -> str:
        return f"{self.root}/meta/{hex_of(digest)}.json"

    def bytecode_manifest_text(self, digest: Digest, cache_tag: str) -> str:
        return f"{self.root}/meta/{hex_of(digest)}.{cache_tag}.pyc.json"

    def modules_text(self, name: NormalizedName, digest: Digest) -> str:
        return f"{self.root}/store/{name}/{prefix_of(digest)}/site-packages"

    def environment(self, environment_id: EnvironmentId) -> Path:
        return self.environments / environment_id

    def leased(self, environment_id: EnvironmentId) -> Path:
        """The file of an environment that a program keeps open which runs in it (storectl_shim.leases)."""
        return self.environments / environment_id / LEASED

    def pin(self, name: str) -> Path:
        return self.roots / name

    def node_roots_of(self, uid: int) -> Path:
        """The folder with all roots of one user of a node store."""
        return self.roots / str(uid)

    def node_root(self, uid: int, environment_id: EnvironmentId) -> Path:
        return self.node_roots_of(uid) / environment_id

    def pack(self, environment_id: EnvironmentId) -> Path:
        return self.packs / environment_id

    def repository(self, address: str) -> Path:
        """The clone of the repository at this address without a login."""
        return self.repositories / hashlib.sha256(address.encode()).hexdigest()[:_REPOSITORY_DIGITS]

    def project_record(self, project: Path) -> Path:
        """The record of the project in this absolute, symlink-free folder."""
        return self.projects / project.relative_to(project.anchor) / "@storectl"

    def ready_record(self, project: Path, key: str) -> Path:
        """The file of the record that is for one set of options."""
        return self.project_record(project) / f"ready.{key}"

    def shortcuts_of(self, start: Path) -> Path:
        """The folder below which the shortcuts are that start in this absolute, symlink-free folder."""
        return self.shortcuts / start.relative_to(start.anchor)
