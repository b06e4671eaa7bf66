"""Layers: which of them are used, in which order they answer, and what of them is taken for not there."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from storectl_store.digest import digest_of_hex
from storectl_store.entries.layer_settings import LayerSettings, read_layer_settings
from storectl_store.entries.layers import Layers, open_layer
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.read_only import ReadOnlyStore
from storectl_store.entries.readable import Readable
from storectl_store.entries.store import Store
from storectl_store.entries.trusted_path import check_trusted
from storectl_store.errors import LayerError, UntrustedLayerError
from support.conformance import ReadableConformance
from support.layers import STRANGER, give_tree, layer_at, write_config
from support.mounts import mounted
from support.stores import digest, tree, written_store
from support.wheels import make_wheel

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives folders to another account")

ALPHA, BETA = make_wheel("alpha"), make_wheel("beta")


@contextmanager
def own_store(root: Path) -> Iterator[Store]:
    store = Store.open(root)
    try:
        yield store
    finally:
        store.close()


class TestEverythingInTheOwnStore(ReadableConformance):
    @contextmanager
    def shown(self, root: Path) -> Iterator[Readable]:
        Store.open(root.with_name("lower")).close()
        with own_store(root) as store:
            yield Layers(store, [layer_at(root.with_name("lower"))])


class TestEverythingInALayer(ReadableConformance):
    @contextmanager
    def shown(self, root: Path) -> Iterator[Readable]:
        with own_store(root.with_name("own")) as store:
            yield Layers(store, [layer_at(root)])


class TestEverythingInTheSecondLayer(ReadableConformance):
    @contextmanager
    def shown(self, root: Path) -> Iterator[Readable]:
        for name in ("own", "first"):
            Store.open(root.with_name(name)).close()
        own = ReadOnlyStore.open(root.with_name("own"))
        yield Layers(own, [layer_at(root.with_name("first")), layer_at(root)])


@pytest.fixture
def lower(tmp_path: Path) -> Path:
    """A store with alpha and beta."""
    with written_store(tmp_path / "lower") as written:
        written.commit(ALPHA, BETA)
    return tmp_path / "lower"


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Store]:
    with own_store(tmp_path / "own") as store:
        yield store


def test_the_own_store_answers_first_and_each_entry_counts_once(lower: Path, tmp_path: Path) -> None:
    with written_store(tmp_path / "own") as written:
        (committed,) = written.commit(ALPHA)
        layers = Layers(written.store, [layer_at(lower)])
        manifests = {manifest.name: manifest for manifest in layers.readable([digest(ALPHA), digest(BETA)])}
        alpha, beta = manifests.values()
        assert layers.entry_folder(alpha) == written.store.entry_folder(committed.manifest)
        assert layers.entry_folder(beta).is_relative_to(lower)
        assert (layers.layer_of(alpha.digest), layers.lower_entry(alpha)) == (None, None)
        assert layers.layer_of(beta.digest) is layers.lower[0].store
        assert layers.lower_roots([alpha, beta]) == {beta.digest: lower}
        assert sorted(layers.digests()) == sorted([alpha.digest, beta.digest])


def test_an_entry_that_is_damaged_in_the_own_store_is_used_from_the_layer(lower: Path, tmp_path: Path) -> None:
    with written_store(tmp_path / "own") as written:
        written.commit(ALPHA)
        entry = written.entry(ALPHA)
        entry.chmod(0o755)
        (entry / "site-packages").rename(entry / "elsewhere")
        layers = Layers(written.store, [layer_at(lower)])
        manifest = layers.usable_manifest(digest(ALPHA))
        assert manifest is not None
        assert layers.entry_folder(manifest).is_relative_to(lower)
        assert layers.lower_entry(manifest) is layers.lower[0].store


def test_layers_can_be_replaced_while_they_are_asked(lower: Path, own: Store) -> None:
    layers = Layers(own)
    assert not layers.has(digest(ALPHA))
    layers.lower = (layer_at(lower),)
    assert layers.has(digest(ALPHA))
    assert layers.at(lower) is layers.lower[0].store
    layers.lower = ()
    assert not layers.has(digest(ALPHA))
    assert layers.at(lower) is None


def test_opening_a_layer_writes_nothing(lower: Path) -> None:
    before = tree(lower)
    layer_at(lower)
    assert tree(lower) == before


def loosen(path: Path, mode: int) -> None:
    path.chmod(path.stat().st_mode & 0o777 | mode)


def refused(root: Path, match: str, *, owner: str | None = None) -> None:
    with pytest.raises(UntrustedLayerError, match=match) as caught:
        layer_at(root, owner=owner)
    assert caught.value.hint
    assert caught.value.code == "E_LAYER"


@pytest.mark.parametrize("mode", [0o020, 0o002])
@pytest.mark.parametrize("part", ["", "store", "meta", "environments", "VERSION", ".."])
def test_a_layer_that_others_can_write_is_refused(lower: Path, part: str, mode: int) -> None:
    place = lower.parent if part == ".." else lower / part
    loosen(place, mode)
    try:
        refused(lower, "others may write")
    finally:
        loosen(place, 0)
        place.chmod(place.stat().st_mode & 0o777 & ~0o022)


def test_a_sticky_folder_above_is_no_reason_and_below_it_is_one(tmp_path: Path, lower: Path) -> None:
    tmp_path.chmod(0o1777)
    layer_at(lower)
    lower.chmod(0o1777)
    refused(lower, "others may write")


def test_a_layer_behind_a_symbolic_link_is_refused(tmp_path: Path, lower: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(lower)
    refused(link, "a symbolic link is in its path")
    (tmp_path / "above").symlink_to(tmp_path)
    refused(tmp_path / "above" / "lower", "a symbolic link is in its path")


def test_a_layer_that_is_gone_or_no_store_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "gone", "No such file")
    (tmp_path / "thesis").mkdir()
    with pytest.raises(LayerError, match="is not a store"):
        layer_at(tmp_path / "thesis")


@needs_root
@pytest.mark.parametrize("part", ["", "store", "meta", "environments", "VERSION", ".."])
def test_a_layer_of_another_account_is_refused_unless_the_settings_name_it(lower: Path, part: str) -> None:
    place = lower.parent if part == ".." else lower / part
    os.chown(place, STRANGER, STRANGER)
    try:
        refused(lower, "belongs to user|another account")
        layer_at(lower, owner=str(STRANGER))
        refused(lower, "belongs to user|another account", owner=str(STRANGER + 1))
    finally:
        os.chown(place, 0, 0)


def test_an_owner_that_nobody_knows_is_an_error(lower: Path) -> None:
    with pytest.raises(LayerError, match="there is no account nobody-of-this-name"):
        layer_at(lower, owner="nobody-of-this-name")


@pytest.mark.system
@needs_root
def test_unmapped_owners_count_only_on_a_read_only_file_system(lower: Path) -> None:
    give_tree(lower, 65534)
    with pytest.raises(LayerError, match="not mounted read-only"):
        layer_at(lower, owner="unmapped")
    with mounted("--bind", "-o", "ro", str(lower), str(lower)):
        assert layer_at(lower, owner="unmapped").store.has(digest(ALPHA))


Hostile = Callable[[Path], None]


def replace_manifest_by_a_link(root: Path) -> None:
    manifest = StoreLayout(root).manifest(digest(ALPHA))
    manifest.rename(root / "elsewhere.json")
    (root / "elsewhere.json").chmod(0o666)
    manifest.symlink_to(root / "elsewhere.json")


def open_manifest(root: Path) -> None:
    StoreLayout(root).manifest(digest(ALPHA)).chmod(0o666)


def open_entry(root: Path) -> None:
    next((root / "store" / "alpha").iterdir()).chmod(0o777)


def open_modules(root: Path) -> None:
    (next((root / "store" / "alpha").iterdir()) / "site-packages").chmod(0o775)


def lose_modules(root: Path) -> None:
    entry = next((root / "store" / "alpha").iterdir())
    entry.chmod(0o755)
    (entry / "site-packages").rename(entry / "elsewhere")


@pytest.mark.parametrize("harm", [open_manifest, open_entry, open_modules, lose_modules, replace_manifest_by_a_link])
def test_an_entry_that_others_can_write_or_that_is_half_is_not_there(lower: Path, own: Store, harm: Hostile) -> None:
    layers = Layers(own, [layer_at(lower)])
    name, identity = layers.manifest(digest(ALPHA)).name, digest(ALPHA)  # type: ignore[union-attr]
    harm(lower)
    assert not layers.seems_whole(name, identity)
    assert layers.usable_manifest(identity) is None
    assert layers.usable_manifest(digest(BETA)) is not None


@needs_root
def test_an_entry_of_a_third_account_is_not_there(lower: Path, own: Store) -> None:
    layers = Layers(own, [layer_at(lower, owner=str(STRANGER))])
    manifest = layers.manifest(digest(ALPHA))
    assert manifest is not None
    give_tree(layers.entry_folder(manifest), STRANGER)
    assert layers.seems_whole(manifest.name, manifest.digest)
    give_tree(layers.entry_folder(manifest), STRANGER + 1)
    assert not layers.seems_whole(manifest.name, manifest.digest)


def test_a_path_with_a_missing_part_is_not_trusted(tmp_path: Path) -> None:
    with pytest.raises(UntrustedLayerError, match="No such file"):
        check_trusted(tmp_path / "a" / "b", {os.geteuid()})
    check_trusted(tmp_path, {os.geteuid()})


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Variables that say where the files of settings are; there are none yet."""
    (tmp_path / "etc").mkdir()
    return {
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "STORECTL_SYSTEM_CONFIG": str(tmp_path / "etc"),
    }


def test_the_variable_comes_first_then_the_user_s_file_then_the_machine_s(
    environ: dict[str, str], tmp_path: Path
) -> None:
    write_config(tmp_path / "config" / "storectl", Path("/user"), Path("/both"))
    write_config(tmp_path / "etc", Path("/both"), Path("/machine"), further=['owner = "root"', 'builds = "trusted"'])
    read = read_layer_settings({**environ, "STORECTL_LAYERS": "/a:/b/"})
    assert [str(layer.path) for layer in read.layers] == ["/a", "/b", "/user", "/both", "/machine"]
    assert read.problems == ()
    machine = read.layers[-1]
    assert (machine.owner, machine.builds, machine.said_in) == ("root", "trusted", str(tmp_path / "etc/config.toml"))
    assert machine.owners() == {0, os.geteuid()}
    assert read.layers[0].builds is None


def test_without_settings_there_are_no_layers(environ: dict[str, str]) -> None:
    assert read_layer_settings(environ).layers == ()
    assert read_layer_settings({**environ, "STORECTL_LAYERS": ""}).layers == ()


def test_a_user_can_do_without_the_machine_s(environ: dict[str, str], tmp_path: Path) -> None:
    write_config(tmp_path / "etc", Path("/machine"))
    file = write_config(tmp_path / "config" / "storectl")
    file.write_text("layers = []\n")
    assert read_layer_settings(environ).layers == ()
    file.write_text("[collect]\n")
    assert [layer.path for layer in read_layer_settings(environ).layers] == [Path("/machine")]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("layers = 3\n", "no list"),
        ("layers = [3]\n", "no table"),
        ("[[layers]]\n", "must be absolute"),
        ('[[layers]]\npath = "relative"\n', "must be absolute"),
        ('[[layers]]\npath = "/x"\nwheels = 1\n', "no setting wheels"),
        ('[[layers]]\npath = "/x"\nowner = 1.5\n', "must be an account"),
        ('[[layers]]\npath = "/x"\nsocket = "sock"\n', "must be an absolute path"),
        ('[[layers]]\npath = "/x"\nbuilds = "all"\n', "can only be"),
        ("[[layers]\n", "Expected"),
    ],
)
def test_a_mistake_is_told_with_its_file_and_the_other_layers_count(
    environ: dict[str, str], tmp_path: Path, text: str, told: str
) -> None:
    write_config(tmp_path / "etc", Path("/machine"))
    file = write_config(tmp_path / "config" / "storectl")
    file.write_text(text)
    read = read_layer_settings(environ)
    assert [layer.path for layer in read.layers] == [Path("/machine")]
    (problem,) = read.problems
    assert str(file) in problem.message
    assert told in problem.message
    assert problem.hint


def test_settings_that_others_could_have_written_say_nothing(environ: dict[str, str], tmp_path: Path) -> None:
    file = write_config(tmp_path / "config" / "storectl", Path("/user"))
    file.chmod(0o664)
    read = read_layer_settings(environ)
    assert read.layers == ()
    assert [str(file) in problem.message for problem in read.problems] == [True]


@needs_root
def test_settings_of_another_account_say_nothing(environ: dict[str, str], tmp_path: Path) -> None:
    for folder in (tmp_path / "config" / "storectl", tmp_path / "etc"):
        os.chown(write_config(folder, Path("/theirs")), STRANGER, STRANGER)
    read = read_layer_settings(environ)
    assert (read.layers, len(read.problems)) == ((), 2)
    os.chown(tmp_path / "etc", STRANGER, STRANGER)  # then the variable does not count, and /etc/storectl does
    assert all(layer.path != Path("/theirs") for layer in read_layer_settings(environ).layers)


def test_a_layer_is_opened_with_what_the_settings_say(lower: Path) -> None:
    layer = open_layer(LayerSettings(path=lower, builds="trusted"))
    assert (layer.root, layer.settings.builds) == (lower, "trusted")
    assert not layer.store.has(digest_of_hex("ab" * 32))
