"""Requirements files in hash mode."""

import codecs
from pathlib import Path

import pytest

from storectl_store.errors import LockFileError, NoWheelError, TargetError, UnsupportedSourceError
from storectl_store.selection.pin import GitCommit, Selection, SourceArchive
from storectl_store.selection.reading import read_lock_file
from storectl_store.selection.select import select
from support.targets import make_target

H1, H2, H3 = (f"sha256:{digit * 64}" for digit in "123")
HASH = f"--hash={H1}"


def selected(
    folder: Path, text: str | bytes, *, place: tuple[str, str] = ("3.12.1", "linux"), **variables: str
) -> Selection:
    path = folder / "requirements.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return select(read_lock_file(path, variables=variables), make_target(*place))


def pins(selection: Selection) -> dict[str, tuple[str, set[str]]]:
    return {pin.name: (pin.version, set(pin.digests)) for pin in selection.index_pins}


def test_pins_have_all_their_hashes(tmp_path: Path) -> None:
    text = f"B_b.c==1.0.0 \\\n    --hash={H1} \\\n    --hash {H2}\n    # via x\na===2.0 {HASH}\n"
    assert pins(selected(tmp_path, text)) == {"a": ("2.0", {H1}), "b-b-c": ("1.0.0", {H1, H2})}


def test_lines_are_joined_before_comments_go(tmp_path: Path) -> None:
    text = (
        f"# a comment that ends in a backslash \\\na==1.0 {HASH} # why\n"
        f"b==1.0 \\\n# in between\n\nc==1.0 \\\n  ; python_version < '4' \\\n  {HASH}\n\n   # the end\n"
    )
    with pytest.raises(LockFileError, match=r"requirements\.txt:3: `b` has no hash"):
        selected(tmp_path, text)
    assert pins(selected(tmp_path, text.replace("b==1.0", f"b==1.0 {HASH}"))).keys() == {"a", "b", "c"}


def test_a_hash_sign_without_a_blank_is_no_comment(tmp_path: Path) -> None:
    text = f"https://x.invalid/a-1.0-py3-none-any.whl#{H1.replace(':', '=')}\n"
    (pin,) = selected(tmp_path, text).pins
    assert (pin.name, pin.version, pin.wheel.digest) == ("a", "1.0", H1)
    assert pin.wheel.url == "https://x.invalid/a-1.0-py3-none-any.whl"


@pytest.mark.parametrize(
    "data",
    [
        codecs.BOM_UTF8 + f"a==1.0 {HASH} # ä".encode(),
        codecs.BOM_UTF16_LE + f"a==1.0 {HASH} # ä".encode("utf-16-le"),
        codecs.BOM_UTF32_LE + f"a==1.0 {HASH} # ä".encode("utf-32-le"),
        f"# -*- coding: latin-1 -*-\na==1.0 {HASH} # ä".encode("latin-1"),
        f"a==1.0 {HASH}\r\n".encode(),
    ],
)
def test_encodings_are_those_of_python(tmp_path: Path, data: bytes) -> None:
    assert pins(selected(tmp_path, data)) == {"a": ("1.0", {H1})}


def test_what_is_not_text_is_an_error(tmp_path: Path) -> None:
    for data in (b"a==1.0 \xff\n", b"# coding: nonsense\na==1.0\n", b"# coding: hex\na\n"):
        with pytest.raises(LockFileError, match="not text in"):
            selected(tmp_path, data)


def test_markers_decide_what_is_selected(tmp_path: Path) -> None:
    text = (
        f"a==1.0 ; python_version < '3.12' {HASH}\na==2.0 ; python_version >= '3.12' --hash={H2}\n"
        f"b==1.0 ; sys_platform == 'win32' {HASH}\n"
        f"https://x.invalid/w-1.0-cp39-cp39-win32.whl ; sys_platform == 'win32' {HASH}\n"
        f"g @ git+https://x.invalid/g ; sys_platform == 'win32'\n"
    )
    assert pins(selected(tmp_path, text)) == {"a": ("2.0", {H2})}
    assert pins(selected(tmp_path, text, place=("3.11.1", "darwin"))) == {"a": ("1.0", {H1})}
    with pytest.raises((UnsupportedSourceError, NoWheelError)):
        selected(tmp_path, text, place=("3.11.1", "win32"))


def test_variables_are_replaced_and_unset_ones_stay(tmp_path: Path) -> None:
    text = f"-i https://${{TOKEN}}@x.invalid/${{unset}}/${{UNSET}}\na==1.0 {HASH}\n"
    (pin,) = selected(tmp_path, text, TOKEN="t").index_pins  # not a secret
    assert pin.indexes == ("https://t@x.invalid/${unset}/${UNSET}",)


def test_indexes_of_the_file_replace_or_extend_those_of_the_user(tmp_path: Path) -> None:
    (pin,) = selected(tmp_path, f"a==1.0 {HASH}\n").index_pins
    assert (pin.indexes, pin.find_links, pin.exclusive) == ((), (), False)
    text = f"--extra-index-url=https://two.invalid/\na==1.0 {HASH}\n"
    (pin,) = selected(tmp_path, text).index_pins
    assert (pin.indexes, pin.exclusive) == (("https://two.invalid/",), False)
    (pin,) = selected(tmp_path, f"-i https://one.invalid/\n{text}-f wheels\n-fhttps://three.invalid/\n").index_pins
    assert (pin.indexes, pin.exclusive) == (("https://one.invalid/", "https://two.invalid/"), True)
    assert pin.find_links == ((tmp_path / "wheels").as_uri(), "https://three.invalid/")
    (pin,) = selected(tmp_path, f"--no-index\n{text}").index_pins
    assert (pin.indexes, pin.exclusive) == ((), True)


def test_options_that_choose_kinds_of_files_are_accepted(tmp_path: Path) -> None:
    options = (
        "--only-binary :all:\n--no-binary=x\n--prefer-binary\n--require-hashes\n--pre\n--trusted-host 'x.invalid'\n"
    )
    assert pins(selected(tmp_path, f"{options}a==1.0 {HASH} --config-settings k=v\n"))


def test_included_files_count_and_are_relative_to_their_file(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "a.txt").write_text(f"a==1.0 {HASH}\n-r b.txt\n")
    (tmp_path / "more" / "b.txt").write_text(f"b==1.0 {HASH}\n")
    assert pins(selected(tmp_path, f"-r more/a.txt\nc==1.0 {HASH}\n")).keys() == {"a", "b", "c"}


def test_errors_name_the_included_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n\na>=1.0\n")
    with pytest.raises(LockFileError, match=r"a\.txt:3: `a` has no hash"):
        selected(tmp_path, "-r a.txt\n")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("-r gone.txt", "includes gone.txt, which is not there"),
        ("-r requirements.txt", "includes itself"),
        ("-c https://x.invalid/c.txt", "includes a URL"),
    ],
)
def test_includes_that_cannot_be_are_errors(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(LockFileError, match=rf"requirements\.txt:2: {message}"):
        selected(tmp_path, f"\n{line}\n")


def test_constraints_must_agree_and_narrow_the_hashes(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_text(f"a<2 --hash={H2} --hash={H3}\nb==5\nx==1; sys_platform == 'win32'\n")
    text = f"-c c.txt\na==1.0 {HASH} --hash={H2}\nx==2.0 {HASH}\n"
    assert pins(selected(tmp_path, text)) == {"a": ("1.0", {H2}), "x": ("2.0", {H1})}
    with pytest.raises(LockFileError, match=r"c\.txt:1: `a` 2\.0 is pinned, which <2 excludes"):
        selected(tmp_path, text.replace("a==1.0", "a==2.0"))
    with pytest.raises(LockFileError, match=r"c\.txt:1: no hash of `a` 1\.0 is allowed"):
        selected(tmp_path, text.replace(H2, H1))


def test_one_project_twice_must_agree(tmp_path: Path) -> None:
    text = f"a==1.0 {HASH} --hash={H2}\nA==1.0.0 --hash={H2}\n"
    with pytest.raises(LockFileError, match=r"requirements\.txt:2: `a` is required a second time"):
        selected(tmp_path, text)
    assert pins(selected(tmp_path, text.replace("1.0.0", "1.0"))) == {"a": ("1.0", {H2})}


def test_local_projects_need_no_hash(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "Root"\n')
    for folder in ("lib", "other", "named"):
        (tmp_path / folder).mkdir()
    (tmp_path / "lib" / "pyproject.toml").write_text('[project]\nname = "the.lib"\n')
    text = "-e .\n-e lib[x]\n./other ; sys_platform == 'linux'\nname @ ./named\n./gone ; sys_platform == 'win32'\n"
    local = selected(tmp_path, text).local_projects
    assert [(p.name, p.path, p.kind, p.packaged) for p in local] == [
        ("name", str(tmp_path / "named"), "path", True),
        ("other", str(tmp_path / "other"), "path", True),
        ("root", str(tmp_path), "root", True),
        ("the-lib", str(tmp_path / "lib"), "path", True),
    ]


def test_the_project_beside_is_a_local_project_where_it_is_a_package(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "me"\n[build-system]\nrequires = []\n')
    (local,) = selected(tmp_path, f"a==1.0 {HASH}\n").local_projects
    assert (local.name, local.path, local.kind) == ("me", str(tmp_path), "root")
    assert selected(tmp_path, "-e .\n").local_projects == (local,)


def test_wheels_by_url_and_path_are_pins(tmp_path: Path) -> None:
    text = (
        f"a @ https://x.invalid/a-1.0-py3-none-any.whl {HASH}\n"
        f"./wheels/b-1.0-py3-none-any.whl --hash={H2}\n"
        f"c @ {(tmp_path / 'c-1.0-py3-none-any.whl').as_uri()}#{H3.replace(':', '=')}\n"
    )
    found = selected(tmp_path, text).pins
    assert [(pin.name, pin.version, pin.wheel.url, pin.wheel.digest) for pin in found] == [
        ("a", "1.0", "https://x.invalid/a-1.0-py3-none-any.whl", H1),
        ("b", "1.0", (tmp_path / "wheels" / "b-1.0-py3-none-any.whl").as_uri(), H2),
        ("c", "1.0", (tmp_path / "c-1.0-py3-none-any.whl").as_uri(), H3),
    ]


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    "line",
    [
        f"a @ git+https://me:secret@x.invalid/a@{COMMIT}",
        f"a @ git+https://x.invalid/a@{COMMIT}#subdirectory=py",
        f"-e git+https://x.invalid/a@{COMMIT}#egg=A&subdirectory=py",
        f"git+ssh://git@x.invalid/a@{COMMIT}#egg=a",
    ],
)
def test_a_commit_is_a_source(tmp_path: Path, line: str) -> None:
    (pin,) = selected(tmp_path, f"{line}\nb==1.0 {HASH}\n").source_pins
    assert isinstance(pin.source, GitCommit)
    assert (pin.name, pin.version, pin.source.commit) == ("a", None, COMMIT)
    assert pin.subdirectory == ("py" if "py" in line else None)
    assert pin.direct_url is not None
    assert pin.direct_url.vcs_info is not None
    assert "secret" not in pin.direct_url.url


@pytest.mark.parametrize(
    "line", [f"https://x.invalid/a-1.0.tar.gz {HASH}", f"./a-1.0.zip {HASH}", f"A @ https://x.invalid/main.zip {HASH}"]
)
def test_a_source_archive_by_its_address_is_a_source(tmp_path: Path, line: str) -> None:
    (pin,) = selected(tmp_path, line).source_pins
    assert isinstance(pin.source, SourceArchive)
    assert (pin.name, pin.source.digest) == ("a", H1)
    assert pin.source.url == (tmp_path / "a-1.0.zip").as_uri() if "./" in line else pin.source.url in line
    assert pin.direct_url is not None


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("a @ git+https://x.invalid/a@main", LockFileError),
        ("a @ git+https://x.invalid/a", LockFileError),
        (f"git+https://x.invalid/a@{COMMIT}", LockFileError),
        ("https://x.invalid/a-1.0.tar.gz", LockFileError),
        ("./a.zip " + HASH, LockFileError),
        (f"a @ hg+https://x.invalid/a@{COMMIT}", UnsupportedSourceError),
    ],
)
def test_sources_that_pin_nothing_are_named_with_their_line(tmp_path: Path, line: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"requirements\.txt:1: "):
        selected(tmp_path, line)


@pytest.mark.parametrize(
    ("options", "formats"),
    [
        ("", {"wheel", "sdist"}),
        ("--no-binary a", {"sdist"}),
        ("--only-binary :all:", {"wheel"}),
        ("--only-binary :all:\n--no-binary A", {"sdist"}),
        ("--no-binary a\n--only-binary :all:", {"wheel"}),
        ("--no-binary :all:,:none:", {"wheel", "sdist"}),
        ("--no-binary b", {"wheel", "sdist"}),
        ("--no-binary a,b\n--only-binary a", {"wheel"}),
    ],
)
def test_options_say_which_kinds_of_file_may_be_used(tmp_path: Path, options: str, formats: set[str]) -> None:
    (pin,) = selected(tmp_path, f"{options}\na==1.0 {HASH}\n").index_pins
    assert pin.formats == formats


@pytest.mark.parametrize(
    "line", ["a==1.0", "a", f"a>=1.0 {HASH}", f"a==1.* {HASH}", f"a=={'1'},<2 {HASH}", "./a-1.0-py3-none-any.whl"]
)  # fmt: skip
def test_hash_mode_is_all_or_nothing(tmp_path: Path, line: str) -> None:
    with pytest.raises(LockFileError, match=r"requirements\.txt:2: .*(has no hash|not pinned)") as caught:
        selected(tmp_path, f"b==1.0 {HASH}\n{line}\n")
    assert caught.value.hint
    assert "generate-hashes" in caught.value.hint
    assert caught.value.facts["line"] == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a==1.0 --hash=md5:00", "'md5:00' is no digest of sha256 or another strong algorithm"),
        (f"a==1.0 {HASH} --hash=sha512:00", "is not a sha512 of 128 hex digits"),
        ("a==1.0 --hash=sha256:00", "64 hex digits"),
        ("a==1.0 --hash", "`--hash` needs a value"),
        (f"{HASH}", "`--hash` without a requirement"),
        ("--nonsense", "option '--nonsense' is not known"),
        ("-i 'https://x.invalid", "quotes that do not end"),
        ("-i ftp://x.invalid", "scheme 'ftp'"),
        (f"a b c {HASH}", "is not a requirement"),
        (f"a==1.0 ; nonsense == 'x' {HASH}", "is not a requirement"),
        (f"a==1.0 ; python_version ~= 'x' {HASH}", "cannot be evaluated"),
        (f"a===one {HASH}", "'one' is not a version"),
        (f"b @ https://x.invalid/a-1.0-py3-none-any.whl {HASH}", "is not the file name of a wheel of `b`"),
        (f"https://x.invalid/a-1.0-py3-none-any.whl {HASH} --hash={H2}", "has 2 hashes"),
        (f"https://x.invalid/a-1.0-py3-none-any.whl#{H2.replace(':', '=')} {HASH}", "none of those beside it"),
        (f"ftp://x.invalid/a-1.0-py3-none-any.whl {HASH}", "scheme 'ftp'"),
        (f"./a\0-1.0-py3-none-any.whl {HASH}", "NUL|is not the file name"),
        ("a @ https://x.invalid/files/a-1", "has no hash"),
        ("a @ https:", "without a host"),
    ],
    ids=range(19),
)
def test_what_is_malformed_is_one_error_with_its_line(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(LockFileError, match=message) as caught:
        selected(tmp_path, f"# first\n{line}\n")
    assert caught.value.message.startswith(f"{tmp_path / 'requirements.txt'}:2: ")


def test_a_wheel_that_does_not_fit_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoWheelError, match=r"`a` 1\.0 has wheels for cp38 only"):
        selected(tmp_path, f"https://x.invalid/a-1.0-cp38-cp38-win32.whl {HASH}\n")


def test_there_are_neither_extras_nor_groups(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(f"a==1.0 {HASH}\n")
    lock_file = read_lock_file(tmp_path / "requirements.txt")
    assert select(lock_file, make_target(groups=())).index_pins
    with pytest.raises(TargetError, match="no extra `x`"):
        select(lock_file, make_target(extras=("x",)))
    with pytest.raises(TargetError, match="no group `dev`"):
        select(lock_file, make_target(groups=("dev",)))


def test_the_python_of_the_project_counts(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "me"\nrequires-python = ">=3.13"\n')
    with pytest.raises(TargetError, match=r"is for Python >=3\.13"):
        selected(tmp_path, f"a==1.0 {HASH}\n")
