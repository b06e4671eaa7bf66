"""Sources to build wheels from: a build backend small enough for a loopback index, and source archives that use it."""

import io
import tarfile
from collections.abc import Mapping

from support.wheels import WheelBytes, make_wheel

BACKEND = """
import base64, hashlib, os, sys, tomllib_free, zipfile

def _project():
    return tomllib_free.read("pyproject.toml")

def _write(folder, name, version, files, scripts):
    info = "%s-%s.dist-info" % (name, version)
    files[info + "/METADATA"] = "Metadata-Version: 2.1\\nName: %s\\nVersion: %s\\n" % (name, version)
    files[info + "/WHEEL"] = "Wheel-Version: 1.0\\nGenerator: tiny\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    if scripts:
        files[info + "/entry_points.txt"] = "[console_scripts]\\n" + "".join("%s = %s\\n" % s for s in scripts)
    rows = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        rows += "%s,sha256=%s,%d\\n" % (path, digest, len(text.encode()))
    files[info + "/RECORD"] = rows + info + "/RECORD,,\\n"
    wheel = "%s-%s-py3-none-any.whl" % (name, version)
    with zipfile.ZipFile(os.path.join(folder, wheel), "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return wheel

def _common():
    project = _project()
    if "fail" in project:
        print("tiny_backend: " + project["fail"], file=sys.stderr)
        raise SystemExit(1)
    scripts = [tuple(part.strip() for part in project["script"].split("="))] if "script" in project else []
    return project["name"].replace("-", "_"), project["version"], scripts

def get_requires_for_build_wheel(config_settings=None):
    return [_project()["more"]] if "more" in _project() else []

get_requires_for_build_editable = get_requires_for_build_wheel

def build_wheel(folder, config_settings=None, metadata_directory=None):
    name, version, scripts = _common()
    files = {}
    for path, _, names in os.walk(name):
        for file in names:
            if file.endswith(".py"):
                files[os.path.join(path, file)] = open(os.path.join(path, file)).read()
    files[name + "/built_by.py"] = "PYTHON = %r\\nPREFIX = %r\\n" % (sys.version_info[:2], sys.prefix)
    return _write(folder, name, version, files, scripts)

def build_editable(folder, config_settings=None, metadata_directory=None):
    name, version, scripts = _common()
    return _write(folder, name, version, {"_tiny_%s.pth" % name: os.getcwd() + "\\n"}, scripts)

def build_sdist(folder, config_settings=None):
    raise NotImplementedError
"""

READER = '''
import re

def read(path):
    """The strings of [tool.tiny]: enough TOML for a backend that runs on 3.9."""
    text = open(path).read().partition("[tool.tiny]")[2]
    return dict(re.findall(r'^(\\w+) = "([^"]*)"', text, re.M))
'''


def tiny_backend() -> WheelBytes:
    """The backend, as a wheel: projects say what they are in ``[tool.tiny]``."""
    return make_wheel("tiny-backend", files={"tiny_backend.py": BACKEND, "tomllib_free.py": READER})


def tiny_pyproject(name: str, version: str = "1.0", **options: str) -> str:
    """A project of that backend. ``script`` is one console script, ``more`` a further build requirement."""
    values = "".join(f'{key} = "{value}"\n' for key, value in {"name": name, "version": version, **options}.items())
    return (
        f'[build-system]\nrequires = ["tiny-backend"]\nbuild-backend = "tiny_backend"\n'
        f'[project]\nname = "{name}"\ndynamic = ["version"]\n[tool.tiny]\n{values}'
    )


def source_files(name: str, version: str = "1.0", **options: str) -> dict[str, str]:
    """The files of a source tree with one package."""
    package = name.replace("-", "_")
    return {
        "pyproject.toml": tiny_pyproject(name, version, **options),
        f"{package}/__init__.py": f"VERSION = {version!r}\ndef main():\n    print('main of', VERSION)\n",
    }


def make_sdist(
    name: str, version: str = "1.0", *, files: Mapping[str, str] | None = None, **options: str
) -> WheelBytes:
    """A source distribution; its top-level folder is ``<name>-<version>``, as it must be."""
    stem = f"{name.replace('-', '_')}-{version}"
    contents = files if files is not None else source_files(name, version, **options)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for path, text in contents.items():
            member = tarfile.TarInfo(f"{stem}/{path}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return WheelBytes(name=name, version=version, filename=f"{stem}.tar.gz", data=out.getvalue())
