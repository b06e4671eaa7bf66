"""The command line and the Python API of storectl."""

__version__ = "0.1.0"
"""A literal, as pyproject.toml has it: asking the installed metadata takes 37 ms. A test compares the two."""
