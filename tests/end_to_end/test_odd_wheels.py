"""Odd wheels through the real command: what is only untidy is used, and told once."""

from pathlib import Path

from support.index import LoopbackIndex
from support.machine import Machine
from support.project import write_project
from support.wheels import WheelRecipe, make_wheel, record_of

MODULE = "import sys\ndef main():\n    print('ran', sys.argv[0].rpartition('/')[2])\ndef gui():\n    print('gui')\n"


def test_an_untidy_wheel_is_used_and_its_rule_is_told_when_it_comes_into_the_store(
    machine: Machine, index: LoopbackIndex
) -> None:
    recipe = WheelRecipe(name="odd", files={"odd.py": "x = 1\n", "more.py": "y = 2\n"})
    listed = {name: content for name, content in recipe.members().items() if name != "more.py"}
    recipe.record = record_of(listed, "odd-1.0.dist-info/RECORD")
    wheel = recipe.build_wheel()
    first = machine.run("warm", write_project(machine.home / "one", index, [wheel]))
    assert first.returncode == 0
    assert "warning: odd: W_RECORD_UNLISTED: 'more.py'" in first.stderr
    folder = write_project(machine.home / "two", index, [wheel])
    again = machine.run("run", "-c", "import more, odd; print(odd.x + more.y)", cwd=folder)
    assert (again.stdout, again.stderr) == ("3\n", "")
    machine.ok("store", "verify")
    assert machine.ok("daemon", "logs").count("odd 1.0: W_RECORD_UNLISTED") == 1


def test_commands_of_any_name_run_and_none_replaces_python(machine: Machine, index: LoopbackIndex) -> None:
    names = ["a+b", "a b", "a@b", "ünï", "Tool", "tool"]
    scripts = "".join(f"{name} = odd:main\n" for name in [*names, "python", "python3.11", "../outside"])
    wheel = make_wheel(
        "odd",
        files={"odd.py": MODULE},
        entry_points=f"[console_scripts]\n{scripts}both = odd:main\n[gui_scripts]\nboth = odd:gui\n",
    )
    folder = write_project(machine.home / "project", index, [wheel])
    told = machine.run("warm", folder).stderr
    assert "W_SCRIPT_INTERPRETER: 'python' and 1 more" in told
    assert "W_SCRIPT_NAME: '../outside'" in told
    for name in names:
        assert machine.ok("run", name, cwd=folder) == f"ran {name}\n"
    assert machine.ok("run", "both", cwd=folder) == "gui\n"
    assert machine.ok("run", "python", "-c", "import sys, odd; print(sys.prefix != sys.base_prefix)", cwd=folder) == (
        "True\n"
    )
    environment = Path(machine.ok("run", "-c", "import sys; print(sys.prefix)", cwd=folder).strip())
    assert not (environment / "outside").exists()


def test_a_project_says_where_it_comes_from_itself_and_not_by_what_is_in_its_wheel(
    machine: Machine, index: LoopbackIndex
) -> None:
    wheel = make_wheel("odd", files={"odd.py": ""}, extra_dist_info={"direct_url.json": "{}", "REQUESTED": ""})
    folder = write_project(machine.home / "project", index, [wheel])
    code = "import importlib.metadata as m; print([m.distribution('odd').read_text(n) for n in ('direct_url.json', 'REQUESTED')])"
    assert machine.ok("run", "-c", code, cwd=folder) == "[None, None]\n"
