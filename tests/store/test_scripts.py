"""Scripts: what entry points become, and first lines the kernel can use."""

import subprocess
import sys
from pathlib import Path

import pytest

from storectl_store.environments.planning.scripts import entry_point_script, is_wrapper, shebang, with_own_shebang
from storectl_store.errors import EnvironmentBuildError
from storectl_store.wheel.checked import EntryPoint


def test_a_short_path_is_named_directly() -> None:
    assert shebang("/store/env/bin/python") == b"#!/store/env/bin/python\n"


def test_a_first_line_of_127_bytes_is_the_longest() -> None:
    longest = "/" + "x" * (127 - len("#!/\n"))
    assert shebang(longest) == f"#!{longest}\n".encode()
    assert shebang(f"{longest}x").startswith(b"#!/bin/sh\n")


def test_the_length_counts_bytes_not_characters() -> None:
    assert shebang("/" + "ü" * 70).startswith(b"#!/bin/sh\n")


@pytest.mark.parametrize("path", ["/with space/python", "/" + "deep/" * 40 + "python"])
def test_the_shell_form_is_a_string_to_python(path: str) -> None:
    source = with_own_shebang(b"#!python\nprint('ran')\n", path)
    namespace: dict[str, object] = {"print": lambda _text: None}
    exec(compile(source, "script", "exec"), namespace)


def test_the_shell_form_hands_over_name_and_arguments(tmp_path: Path) -> None:
    folder = tmp_path / "with space"
    folder.mkdir()
    (folder / "python").symlink_to(sys.executable)
    script = tmp_path / "script"
    script.write_bytes(with_own_shebang(b"#!python\nimport sys; print(sys.argv)\n", str(folder / "python")))
    script.chmod(0o755)
    output = subprocess.run([script, "a b", "$c"], capture_output=True, text=True, check=True).stdout
    assert output == f"{[str(script), 'a b', '$c']}\n"


@pytest.mark.parametrize("character", ['"', "'", "$", "`", "\\", "\n"])
def test_a_script_whose_path_no_first_line_can_name_runs_the_python_beside_it(character: str, tmp_path: Path) -> None:
    folder = tmp_path / f"with {character} in it"
    folder.mkdir()
    (folder / "python").symlink_to(sys.executable)
    script = folder / "script"
    script.write_bytes(with_own_shebang(b"#!python\nimport sys; print(sys.argv)\n", str(folder / "python")))
    script.chmod(0o755)
    (tmp_path / "link").symlink_to(script)
    output = subprocess.run([tmp_path / "link", "a b"], capture_output=True, text=True, check=True).stdout
    assert output == f"{[str(tmp_path / 'link'), 'a b']}\n"


@pytest.mark.parametrize("first", [b"#!python", b"#!pythonw", b"#!python -u", b"#!python3"])
def test_the_whole_first_line_is_replaced(first: bytes) -> None:
    assert with_own_shebang(first + b"\r\nrest\n", "/p") == b"#!/p\nrest\n"


def test_a_script_of_nothing_but_a_first_line() -> None:
    assert with_own_shebang(b"#!python", "/p") == b"#!/p\n"


def test_an_entry_point_imports_the_first_name_and_calls_the_whole() -> None:
    script = entry_point_script(EntryPoint(name="go", module="a.b", attribute="C.d"), "/p")
    assert script.path == "bin/go"
    assert script.executable
    assert b"from a.b import C\n" in script.content
    assert b"sys.exit(C.d())" in script.content


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../../x", "a\0b"])
def test_a_name_that_leaves_the_folder_is_refused(name: str) -> None:
    with pytest.raises(EnvironmentBuildError):
        entry_point_script(EntryPoint(name=name, module="m", attribute="f"), "/p")


@pytest.mark.parametrize("script", ["go", "go.exe", "go-script.py", "go.pya"])
def test_wrappers_of_old_tools_give_way_to_the_entry_point(script: str) -> None:
    assert is_wrapper(script, frozenset({"go"}))


def test_other_scripts_stay() -> None:
    assert not is_wrapper("gone", frozenset({"go"}))
    assert not is_wrapper("other.exe", frozenset({"go"}))
