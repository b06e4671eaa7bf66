"""The indexes of a project: from pip's and uv's variables and files, the nearest first."""

from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from storectl_daemon.errors import IndexLookupError
from storectl_daemon.indexes.config_files import ConfigFile, ConfigFiles, config_files
from storectl_daemon.indexes.config_layer import Source
from storectl_daemon.indexes.configuration import IndexSettings, default_index, read_settings, settings_of
from storectl_daemon.network.address import Address

A, B, C, D = (f"https://{name}.example/simple" for name in "abcd")
PROJECT = Path("/project")


def pip(*texts: str) -> ConfigFiles:
    return ConfigFiles(pip=tuple(ConfigFile(path=Path(f"/etc/{n}/pip.conf"), text=t) for n, t in enumerate(texts)))


def addresses(*texts: str) -> tuple[Address, ...]:
    return tuple(map(Address, texts))


def uv(*texts: str) -> ConfigFiles:
    return ConfigFiles(uv=tuple(ConfigFile(path=Path(f"/etc/{n}/uv.toml"), text=t) for n, t in enumerate(texts)))


def project(text: str, name: str = "pyproject.toml") -> ConfigFiles:
    return ConfigFiles(project=ConfigFile(path=PROJECT / name, text=text))


def test_without_any_configuration_the_library_s_default_is_asked() -> None:
    settings = settings_of({}, ConfigFiles())
    assert settings == IndexSettings(indexes=(default_index(),))
    assert default_index().scheme == "https"


def test_the_variables_of_pip_are_read() -> None:
    environ = {
        "PIP_INDEX_URL": A,
        "PIP_EXTRA_INDEX_URL": f"{B} {C}",
        "PIP_FIND_LINKS": "/wheels https://links.example/",
        "PIP_TRUSTED_HOST": "a.example b.example:8443",
        "PIP_CERT": "/ca.pem",
    }
    settings = settings_of(environ, ConfigFiles())
    assert set(settings.indexes) == set(addresses(A, B, C))
    assert settings.find_links == addresses("/wheels", "https://links.example/")
    assert settings.trusted_hosts == {"a.example", "b.example:8443"}
    assert settings.ca_bundle == "/ca.pem"


def test_pip_files_may_hold_several_lines_and_the_install_section_wins() -> None:
    text = (
        f"[global]\nindex-url = {A}\nextra_index_url =\n    {B}\n    {C}\n"
        f"[install]\nindex-url = {D}\nfind-links = /wheels\n[freeze]\nindex-url = https://no.example\n"
    )
    settings = settings_of({}, pip(text))
    assert set(settings.indexes) == set(addresses(B, C, D))
    assert settings.find_links == addresses("/wheels")


def test_with_pip_the_nearest_value_replaces_the_others() -> None:
    files = pip(f"[global]\nextra-index-url = {B}\n", f"[global]\nextra-index-url = {C}\nindex-url = {A}\n")
    assert set(settings_of({}, files).indexes) == set(addresses(A, B))
    assert set(settings_of({"PIP_EXTRA_INDEX_URL": D, "PIP_INDEX_URL": ""}, files).indexes) == set(addresses(A, D))


@pytest.mark.parametrize("environ", [{"PIP_NO_INDEX": "1"}, {"UV_NO_INDEX": "true"}])
def test_no_index_leaves_the_find_links_only(environ: dict[str, str]) -> None:
    settings = settings_of(environ | {"PIP_FIND_LINKS": "/wheels", "PIP_INDEX_URL": A}, ConfigFiles())
    assert settings.indexes == ()
    assert settings.find_links == addresses("/wheels")


def test_no_index_of_pip_says_nothing_about_the_default_of_uv() -> None:
    assert settings_of({"PIP_NO_INDEX": "1", "UV_DEFAULT_INDEX": A}, ConfigFiles()).indexes == addresses(A)


def test_the_variables_of_uv_are_read_in_uv_s_order() -> None:
    environ = {"UV_DEFAULT_INDEX": f"main={A}", "UV_INDEX": f"one={B} {C}", "UV_EXTRA_INDEX_URL": D}
    settings = settings_of(environ | {"UV_FIND_LINKS": "/one,/two"}, ConfigFiles())
    assert settings.indexes == addresses(B, C, D, A)
    assert settings.find_links == addresses("/one", "/two")
    assert settings_of({"UV_INDEX_URL": A}, ConfigFiles()).indexes == addresses(A)


def test_a_named_index_gets_its_login_from_the_environment() -> None:
    login = {"UV_INDEX_MY_CORP_USERNAME": "ann@corp", "UV_INDEX_MY_CORP_PASSWORD": "s3/cret"}
    expected = "https://ann%40corp:s3%2Fcret@a.example/simple"
    assert settings_of(login | {"UV_DEFAULT_INDEX": f"my-corp={A}"}, ConfigFiles()).indexes == addresses(expected)
    files = uv(f'[[index]]\nname = "my-corp"\nurl = "{A}"\ndefault = true\n')
    assert settings_of(login, files).indexes == addresses(expected)


def test_the_files_of_uv_are_merged_and_the_nearest_default_counts() -> None:
    files = uv(
        f'[[index]]\nurl = "{B}"\n[[index]]\nurl = "{A}"\ndefault = true\n',
        f'index-url = "{D}"\nextra-index-url = ["{C}"]\nfind-links = ["wheels"]\n',
    )
    settings = settings_of({}, files)
    assert settings.indexes == addresses(B, C, A)
    assert settings.find_links == addresses("/etc/1/wheels")


def test_an_explicit_index_is_asked_for_nothing_that_does_not_name_it() -> None:
    text = f'[[index]]\nurl = "{A}"\nexplicit = true\n[[index]]\nurl = "{B}"\n[[index]]\nurl = "{C}"\ndefault = true\n'
    settings = settings_of({}, uv(text))
    assert settings.indexes == addresses(B, C)
    assert settings.explicit == addresses(A)
    assert settings.addresses == addresses(B, C, A)


def test_the_project_goes_before_uv_and_uv_before_pip() -> None:
    files = ConfigFiles(
        project=ConfigFile(path=PROJECT / "pyproject.toml", text=f'[tool.uv]\nindex-url = "{A}"\nfind-links = ["w"]\n'),
        uv=(ConfigFile(path=Path("/u/uv.toml"), text=f'index-url = "{B}"\n'),),
        pip=(ConfigFile(path=Path("/p/pip.conf"), text=f"[global]\nindex-url = {C}\nextra-index-url = {D}\n"),),
    )
    settings = settings_of({"UV_INDEX_URL": "https://no.example"}, files, PROJECT)
    assert settings.indexes == addresses(D, A)
    assert settings.find_links == addresses("/project/w")
    without_project = ConfigFiles(uv=files.uv, pip=files.pip)
    assert settings_of({}, without_project).indexes == addresses(D, B)


def test_a_pyproject_without_uv_says_nothing() -> None:
    assert settings_of({}, project('[project]\nname = "x"\n[tool]\nuv = 1\n')).indexes == (default_index(),)


def test_relative_places_start_from_the_project_or_are_none() -> None:
    environ = {"PIP_FIND_LINKS": "wheels ../shared"}
    assert settings_of(environ, ConfigFiles(), Path("/a/b")).find_links == addresses("/a/b/wheels", "/a/shared")
    assert settings_of(environ, ConfigFiles()).find_links == ()


def test_an_index_may_be_a_local_folder() -> None:
    environ = {"PIP_INDEX_URL": "file:///srv/simple", "PIP_EXTRA_INDEX_URL": "/srv/more"}
    assert settings_of(environ, ConfigFiles()).indexes == addresses("file:///srv/more", "file:///srv/simple")


@pytest.mark.parametrize("files", [pip("index-url = https://ann:s3cret@h\n"), uv("index-url = https://ann:s3cret@h\n")])
def test_a_broken_file_is_named_but_not_quoted(files: ConfigFiles) -> None:
    with pytest.raises(IndexLookupError) as caught:
        settings_of({}, files)
    assert ".conf" in caught.value.message or ".toml" in caught.value.message
    assert "s3cret" not in str(caught.value)
    assert caught.value.hint


def test_files_are_found_in_their_documented_places(tmp_path: Path) -> None:
    home, shared = tmp_path / "home", tmp_path / "shared"
    places = [
        home / ".config/pip/pip.conf",
        home / ".pip/pip.conf",
        shared / "pip/pip.conf",
        home / ".config/uv/uv.toml",
        shared / "uv/uv.toml",
    ]
    for place in places:
        place.parent.mkdir(parents=True)
        place.write_text("")
    environ = {"XDG_CONFIG_DIRS": str(shared)}
    found = config_files(environ, home, None)
    assert [f.path for f in found.pip if tmp_path in f.path.parents] == [places[0], places[1], places[2]]
    assert [f.path for f in found.uv if tmp_path in f.path.parents] == [places[3], places[4]]
    named = tmp_path / "named.conf"
    named.write_text("")
    chosen = config_files(environ | {"PIP_CONFIG_FILE": str(named), "UV_NO_CONFIG": "1"}, home, None)
    assert [f.path for f in chosen.pip if tmp_path in f.path.parents] == [named, places[2]]
    assert chosen.uv == ()
    assert config_files({"PIP_CONFIG_FILE": "/dev/null"}, home, None).pip == ()


def test_a_changed_file_counts_at_once(tmp_path: Path) -> None:
    environ = {"PIP_CONFIG_FILE": "/dev/null", "UV_CONFIG_FILE": str(tmp_path / "none"), "UV_DEFAULT_INDEX": D}

    def indexes(project: Path | None) -> tuple[Address, ...]:
        return read_settings(environ, tmp_path, project).indexes

    assert indexes(tmp_path) == addresses(D)
    (tmp_path / "pyproject.toml").write_text(f'[tool.uv]\nindex-url = "{A}"\n')
    assert indexes(tmp_path) == addresses(A)
    (tmp_path / "uv.toml").write_text(f'index-url = "{B}"\n')  # uv prefers it to the pyproject.toml beside it
    assert indexes(tmp_path) == addresses(B)
    assert indexes(None) == addresses(D)


def test_the_sources_of_a_project_are_asked_for_what_names_them() -> None:
    text = f"""
        [tool.uv.sources]
        Torch = [{{ index = "cpu", marker = "sys_platform == 'darwin'" }}, {{ index = "gpu" }}]
        "my.lib" = {{ index = "corp" }}
        other = {{ git = "https://g.example" }}
        lost = {{ index = "nowhere" }}
        [[tool.uv.index]]
        name = "cpu"
        url = "{A}"
        explicit = true
        [[tool.uv.index]]
        name = "gpu"
        url = "./wheels"
        format = "flat"
        explicit = true
    """
    environ = {"UV_INDEX": f"corp={B}", "UV_INDEX_CPU_USERNAME": "ann", "UV_INDEX_CPU_PASSWORD": "s3cret"}
    read = project(text)
    settings = settings_of(environ, ConfigFiles(project=read.project, pyproject=read.project), PROJECT)
    cpu = Source(address=Address(A.replace("//", "//ann:s3cret@")))
    assert settings.assigned == {
        canonicalize_name("torch"): (cpu, Source(address=Address("/project/wheels"), find_links=True)),
        canonicalize_name("my-lib"): (Source(address=Address(B)),),
    }
    assert settings.indexes == (*addresses(B), default_index())
    assert settings.explicit == (cpu.address, Address("/project/wheels"))


def test_the_sources_of_a_pyproject_count_beside_a_uv_toml() -> None:
    files = ConfigFiles(
        project=ConfigFile(path=PROJECT / "uv.toml", text=f'[[index]]\nname = "corp"\nurl = "{A}"\n'),
        pyproject=ConfigFile(path=PROJECT / "pyproject.toml", text='[tool.uv.sources]\nx = { index = "corp" }\n'),
    )
    assert settings_of({}, files, PROJECT).assigned == {canonicalize_name("x"): (Source(address=Address(A)),)}


def test_a_flat_index_is_a_find_links_place() -> None:
    text = (
        f'[[index]]\nurl = "{A}"\nformat = "flat"\n[[index]]\nurl = "w"\nformat = "flat"\n[[index]]\nurl = "simple"\n'
    )
    settings = settings_of({}, uv(text))
    assert settings.find_links == addresses(A, "/etc/0/w")
    assert settings.indexes == (*addresses("file:///etc/0/simple"), default_index())


def test_a_user_name_alone_leaves_the_password_to_others() -> None:
    files = uv(f'[[index]]\nname = "corp"\nurl = "{A}"\ndefault = true\n')
    assert settings_of({"UV_INDEX_CORP_USERNAME": "ann"}, files).indexes == addresses(A.replace("//", "//ann@"))


@pytest.mark.parametrize(
    ("environ", "files", "asks"),
    [
        ({}, ConfigFiles(), False),
        ({"PIP_KEYRING_PROVIDER": "subprocess"}, ConfigFiles(), True),
        ({"PIP_KEYRING_PROVIDER": "disabled"}, ConfigFiles(), False),
        ({"UV_KEYRING_PROVIDER": "disabled", "PIP_KEYRING_PROVIDER": "auto"}, ConfigFiles(), False),
        ({}, pip("[global]\nkeyring-provider = auto\n"), True),
        ({}, uv('keyring-provider = "subprocess"\n'), True),
        ({}, project('[tool.uv]\nkeyring-provider = "subprocess"\n'), True),
    ],
)
def test_the_keyring_is_asked_where_pip_or_uv_would(environ: dict[str, str], files: ConfigFiles, *, asks: bool) -> None:
    assert settings_of(environ, files).keyring is asks


def test_certificates_proxies_and_insecure_hosts_of_both_tools_are_read() -> None:
    text = "[global]\nclient-cert = /p.pem\nproxy = http://p.example:3128\n"
    from_pip = settings_of({"PIP_CERT": "/ca.pem", "UV_INSECURE_HOST": "a.example b.example:1"}, pip(text))
    assert (from_pip.client_cert, from_pip.proxy, from_pip.ca_bundle) == (
        "/p.pem",
        Address("http://p.example:3128"),
        "/ca.pem",
    )
    assert from_pip.trusted_hosts == {"a.example", "b.example:1"}
    assert settings_of({"PIP_PROXY": "http://q.example", "PIP_CLIENT_CERT": "/q.pem"}, pip(text)).proxy == Address(
        "http://q.example"
    )
    from_uv = settings_of({"SSL_CLIENT_CERT": "/u.pem"}, uv('allow-insecure-host = ["c.example"]\n'))
    assert from_uv.client_cert == "/u.pem"
    assert from_uv.trusted_hosts == {"c.example"}


def test_the_virtual_environment_of_the_project_has_a_pip_conf(tmp_path: Path) -> None:
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "pip.conf").write_text(f"[global]\nindex-url = {A}\n")
    (tmp_path / ".config" / "pip").mkdir(parents=True)
    (tmp_path / ".config" / "pip" / "pip.conf").write_text(f"[global]\nindex-url = {B}\nextra-index-url = {C}\n")
    assert settings_of({}, config_files({}, tmp_path, tmp_path), tmp_path).indexes == addresses(C, A)
    assert settings_of({}, config_files({}, tmp_path, None)).indexes == addresses(C, B)


def test_the_nearest_folder_above_that_speaks_of_uv_is_the_project_s(tmp_path: Path) -> None:
    member = tmp_path / "root" / "packages" / "member"
    member.mkdir(parents=True)
    (member / "pyproject.toml").write_text('[project]\nname = "uvicorn-like"\n')
    (tmp_path / "root" / "uv.toml").write_text(f'index-url = "{A}"\n')
    (tmp_path / "root" / "pyproject.toml").write_text(f'[tool.uv]\nindex-url = "{B}"\n')
    assert settings_of({}, config_files({}, tmp_path, member), member).indexes == addresses(A)
    (tmp_path / "root").chmod(0o777)
    assert settings_of({}, config_files({}, tmp_path, member), member).indexes == (default_index(),)
