"""How lock files are made: a project's or script's by its own tool, and those for ``tool run`` and ``--with``."""
