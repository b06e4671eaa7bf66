"""Lock files that are made and edited: of a project or script by its own tool, and for ``tool run`` and ``--with``."""
