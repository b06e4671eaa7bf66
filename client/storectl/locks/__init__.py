"""How lock files are made: a project's by its own tool, and those of tools, scripts and ``--with``."""
