"""What Poetry knows of a project's sources: its variables and files give logins and certificates, and nothing else."""

from pathlib import Path

import pytest

from storectl_daemon.errors import IndexLookupError
from storectl_daemon.indexes.config_files import ConfigFile, config_files
from storectl_daemon.indexes.config_layer import Authority, Layer
from storectl_daemon.indexes.configuration import read_settings
from storectl_daemon.indexes.poetry import poetry_layer
from storectl_daemon.network.address import Address

PROJECT = Path("/project")
SOURCES = """
[tool.poetry]
name = "demo"
[[tool.poetry.source]]
name = "Corp-Main"
url = "https://corp.example:8443/simple"
priority = "explicit"
[[tool.poetry.source]]
name = "my.repo"
url = "https://mine.example/simple/"
[[tool.poetry.source]]
name = "PyPI"
"""


def layer(environ: dict[str, str] | None = None, *texts: str, sources: str = SOURCES) -> Layer:
    files = tuple(ConfigFile(path=Path(f"/{n}/poetry.toml"), text=text) for n, text in enumerate(texts))
    return poetry_layer(environ or {}, files, ConfigFile(path=PROJECT / "pyproject.toml", text=sources))


@pytest.mark.parametrize(
    ("environ", "logins"),
    [
        ({}, ()),
        (
            {"POETRY_HTTP_BASIC_CORP_MAIN_USERNAME": "ann", "POETRY_HTTP_BASIC_CORP_MAIN_PASSWORD": "s3/cret"},
            ("https://ann:s3%2Fcret@corp.example:8443/simple",),
        ),
        ({"POETRY_HTTP_BASIC_CORP_MAIN_PASSWORD": "t0ken"}, ("https://:t0ken@corp.example:8443/simple",)),
        ({"POETRY_HTTP_BASIC_CORP_MAIN_USERNAME": "t0ken"}, ("https://t0ken:@corp.example:8443/simple",)),
        ({"POETRY_HTTP_BASIC_MY.REPO_USERNAME": "ann"}, ("https://ann:@mine.example/simple/",)),
        ({"POETRY_HTTP_BASIC_MY_REPO_USERNAME": "ann"}, ("https://ann:@mine.example/simple/",)),
        ({"POETRY_HTTP_BASIC_OTHER_USERNAME": "ann", "POETRY_PYPI_TOKEN_PYPI": "t0ken"}, ()),
    ],
)
def test_the_variables_of_a_source_are_its_login(environ: dict[str, str], logins: tuple[str, ...]) -> None:
    assert layer(environ).logins == tuple(map(Address, logins))


def test_the_nearest_value_counts_and_variables_before_all_files() -> None:
    near = '[http-basic.Corp-Main]\npassword = "near"\n'
    far = '[http-basic.Corp-Main]\nusername = "ann"\npassword = "far"\n[http-basic."my.repo"]\nusername = "bob"\n'
    assert layer({}, near, far).logins == (
        Address("https://ann:near@corp.example:8443/simple"),
        Address("https://bob:@mine.example/simple/"),
    )
    own = {"POETRY_HTTP_BASIC_CORP_MAIN_PASSWORD": "own"}
    assert layer(own, near, far).logins[0] == Address("https://ann:own@corp.example:8443/simple")


@pytest.mark.parametrize(
    ("text", "authority"),
    [
        ('cert = "/ca.pem"', Authority(host="corp.example:8443", ca_bundle="/ca.pem")),
        ('cert = "ca.pem"', Authority(host="corp.example:8443", ca_bundle="/project/ca.pem")),
        ("cert = false", Authority(host="corp.example:8443", checked=False)),
        ('verify = false\ncert = "/ca.pem"', Authority(host="corp.example:8443", checked=False)),
        ('client-cert = "/me.pem"', Authority(host="corp.example:8443", client_cert="/me.pem")),
        ("cert = true", None),
        ("cert = 7", None),
    ],
)
def test_certificates_are_those_of_the_source_s_host(text: str, authority: Authority | None) -> None:
    found = layer({}, f"[certificates.Corp-Main]\n{text}\n").authorities
    assert found == ((authority,) if authority else ())


def test_the_variables_of_certificates_are_paths() -> None:
    found = layer({"POETRY_CERTIFICATES_CORP_MAIN_CERT": "/ca.pem", "POETRY_CERTIFICATES_CORP_MAIN_CLIENT_CERT": "me"})
    assert found.authorities == (Authority(host="corp.example:8443", ca_bundle="/ca.pem", client_cert="/project/me"),)


@pytest.mark.parametrize(
    "sources",
    ["", "[tool.poetry]\nsource = 7\n", "[tool.poetry]\nsource = [7, {name = 'Corp-Main'}]\n", "tool = 7"],
)
def test_without_a_source_nothing_is_said(sources: str) -> None:
    environ = {"POETRY_HTTP_BASIC_CORP_MAIN_USERNAME": "ann"}
    assert layer(environ, "[http-basic.Corp-Main]\nusername = 'ann'\n", sources=sources) == Layer()


def test_odd_values_say_nothing() -> None:
    assert layer({}, "http-basic = 7\ncertificates = []\n", "[http-basic]\nCorp-Main = 'x'\n") == Layer()


def test_a_broken_file_is_named_without_what_it_says() -> None:
    with pytest.raises(IndexLookupError, match=r"/0/poetry\.toml") as caught:
        layer({}, "[http-basic.Corp-Main]\npassword = s3cret\n")
    assert "s3cret" not in str(caught.value)


def test_the_files_are_where_poetry_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, project, named = tmp_path / "home", tmp_path / "project", tmp_path / "named"
    places = [
        project / "poetry.toml",
        home / ".config/pypoetry/auth.toml",
        home / ".config/pypoetry/config.toml",
        home / "Library/Application Support/pypoetry/auth.toml",
        named / "auth.toml",
    ]
    for place in places:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("")
    monkeypatch.setattr("sys.platform", "linux")
    assert [file.path for file in config_files({}, home, project).poetry] == places[:3]
    chosen = config_files({"POETRY_CONFIG_DIR": str(named)}, home, project)
    assert [file.path for file in chosen.poetry] == [places[0], places[4]]
    monkeypatch.setattr("sys.platform", "darwin")
    assert [file.path for file in config_files({}, home, project).poetry] == [places[0], places[3]]
    assert config_files({}, home, None).poetry == ()


def test_a_login_makes_no_index_of_its_source(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(SOURCES)
    environ = {"POETRY_HTTP_BASIC_CORP_MAIN_USERNAME": "ann", "PIP_CONFIG_FILE": "/dev/null", "UV_NO_CONFIG": "1"}
    settings = read_settings(environ, tmp_path / "home", tmp_path)
    assert settings.logins == (Address("https://ann:@corp.example:8443/simple"),)
    assert not any(
        "corp.example" in str(place) for place in (*settings.indexes, *settings.explicit, *settings.find_links)
    )
    assert "ann" not in repr(settings)
