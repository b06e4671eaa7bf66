"""Hot images: real files only for what a recorded run used; all else leads to the layers that the image is made of.

    store/<name>/<prefix>/            a real folder, as is every folder below that has something used in it
        site-packages/pkg/used.so     a real file
        site-packages/pkg/other.so    a link to the same file in the original entry
        site-packages/pkg/tests       one link for a whole folder that has nothing used in it

So a hot image is complete by plain path rules, as long as the layers are there. The environment itself, the manifests,
the pack and the metadata of every project are always real.
"""

import posixpath
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import replace

from storectl_store.images.image_contents import ENTRIES, ImageContents

_METADATA = ".dist-info"


def hot_part(contents: ImageContents, used: Collection[str]) -> ImageContents:
    """The hot image of these contents. ``used`` are absolute paths of files of the entries, links resolved."""
    wanted = set(used)
    real = {
        path: file
        for path, file in contents.files.items()
        if not path.startswith(f"{ENTRIES}/") or file.source in wanted or _METADATA in path
    }
    made = replace(contents, folders=set(), files=real, links=dict(contents.links))
    for path in (*real, *made.links):
        made.add_folders_above(path)
    # Empty folders of the view are as real as the others.
    made.folders.update(folder for folder in contents.folders if not folder.startswith(f"{ENTRIES}/"))
    children = _children_of(contents)
    for place, source in contents.places.items():
        made.folders.add(place)
        made.add_folders_above(place)
        _link_cold(place, source, made, children)
    return made


def used_layers(contents: ImageContents) -> tuple[str, ...]:
    """The roots of the stores that the entries of these contents are in."""
    return tuple(dict.fromkeys(source[: -len(place) - 1] for place, source in sorted(contents.places.items())))


def _children_of(contents: ImageContents) -> Mapping[str, list[str]]:
    children: defaultdict[str, list[str]] = defaultdict(list)
    for path in sorted([*contents.folders, *contents.files]):
        children[posixpath.dirname(path)].append(path)
    return children


def _link_cold(folder: str, source: str, made: ImageContents, children: Mapping[str, list[str]]) -> None:
    """Link what of this real folder is not real, to what is in the folder ``source``."""
    for path in children[folder]:
        original = f"{source}/{posixpath.basename(path)}"
        if path in made.folders:
            _link_cold(path, original, made, children)
        elif path not in made.files:
            made.links[path] = original
