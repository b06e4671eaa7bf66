"""Sources whose build backend tells what it sees: it stands in the source itself, and puts what it saw into the wheel.

The wheel of ``demo`` has a module ``told_demo`` with the facts as ``TOLD``. The backend needs nothing to be installed.
"""

import io
import tarfile

from support.wheels import WheelBytes

BACKEND = """
import json, locale, os, subprocess, sys, zipfile
from importlib import metadata

NAME, SETTINGS = "@NAME@", {}

def facts(config_settings):
    mask = os.umask(0)
    os.umask(mask)
    git = subprocess.run(["git", "rev-parse", "--show-toplevel"], capture_output=True, text=True)
    return {
        "variables": dict(os.environ),
        "flags": {name: getattr(sys.flags, name) for name in dir(sys.flags) if not name.startswith("_") and name not in ("count", "index", "n_fields", "n_sequence_fields", "n_unnamed_fields")},
        "path": [os.path.relpath(p, sys.prefix) if p.startswith(sys.prefix) else p for p in sys.path],
        "umask": mask,
        "files here": sorted(name for name in os.listdir(".") if name not in (".git", "build", "__pycache__", ".venv", "PKG-INFO")),
        "is a repository": git.stdout.strip() == os.getcwd(),
        "stdin": sys.stdin.read(),
        "encodings": [locale.getpreferredencoding(False), sys.stdout.encoding, sys.getfilesystemencoding()],
        "isolated": sys.prefix != sys.base_prefix,
        "python": list(sys.version_info[:3]),
        "installed": sorted(d.metadata["Name"] + " " + d.version for d in metadata.distributions() if d.metadata["Name"] not in ("pip", "setuptools")),
        "config settings": config_settings or {},
        "asked": os.environ.get("DEMO_ASKED"),
    }

def _wheel(folder, files):
    info = NAME + "-1.0.dist-info"
    files[info + "/METADATA"] = "Metadata-Version: 2.1\\nName: %s\\nVersion: 1.0\\n" % NAME
    files[info + "/WHEEL"] = "Wheel-Version: 1.0\\nGenerator: tell\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    import base64, hashlib
    rows = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        rows += "%s,sha256=%s,%d\\n" % (path, digest, len(text.encode()))
    files[info + "/RECORD"] = rows + info + "/RECORD,,\\n"
    wheel = NAME + "-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, wheel), "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return wheel

def build_wheel(folder, config_settings=None, metadata_directory=None):
@EXTRA@
    return _wheel(folder, {"told_%s.py" % NAME: "TOLD = %r\\n" % (facts(config_settings),)})

build_editable = build_wheel
"""


def telling_files(name: str, *, requires: tuple[str, ...] = (), extra: str = "pass", uv: str = "") -> dict[str, str]:
    """The files of a source. ``extra`` is a statement that the backend runs first, ``uv`` more of its pyproject.toml."""
    listed = ", ".join(f'"{text}"' for text in requires)
    pyproject = (
        f'[project]\nname = "{name}"\nversion = "1.0"\nrequires-python = ">=3.9"\ndependencies = []\n'
        f'[build-system]\nrequires = [{listed}]\nbuild-backend = "inside"\nbackend-path = ["."]\n{uv}'
    )
    backend = BACKEND.replace("@NAME@", name.replace("-", "_")).replace("@EXTRA@", f"    {extra}")
    return {"pyproject.toml": pyproject, "inside.py": backend}


def telling_sdist(name: str, *, requires: tuple[str, ...] = (), extra: str = "pass") -> WheelBytes:
    """Such a source as a source distribution, with its metadata, so that nobody has to build it to lock it."""
    stem = f"{name.replace('-', '_')}-1.0"
    info = f"Metadata-Version: 2.2\nName: {name}\nVersion: 1.0\nRequires-Python: >=3.9\n"
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for path, text in {**telling_files(name, requires=requires, extra=extra), "PKG-INFO": info}.items():
            member = tarfile.TarInfo(f"{stem}/{path}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return WheelBytes(name=name, version="1.0", filename=f"{stem}.tar.gz", data=out.getvalue())
