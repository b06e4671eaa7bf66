"""What the interpreter of a project loads at start: the standard library only, CPython 3.9 to 3.14."""
