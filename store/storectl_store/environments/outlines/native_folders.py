"""Folders that must be real in a view, because a native library in them looks for another wheel's by ``..``.

The dynamic linker resolves ``$ORIGIN/../../other/lib`` through the file system. ``..`` of a linked folder is the folder
in the store, which has no other wheel beside it. ``$ORIGIN`` itself is the path a library was opened by, links not
followed. So it is enough that every folder from the top-level name down to the library is real and holds links.
"""

from storectl_store.entries.manifest import Manifest


def native_folders(manifest: Manifest) -> frozenset[str]:
    """The folders, relative to site-packages, that lead to a library whose RPATH or RUNPATH leaves its wheel."""
    folders: set[str] = set()
    for library in manifest.escaping_libraries:
        folder = library.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    return frozenset(folders)
