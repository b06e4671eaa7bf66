"""The part of storectl that a project's own interpreter can load: standard library only, CPython 3.9 to 3.14."""
