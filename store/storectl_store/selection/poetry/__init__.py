"""Selection from ``poetry.lock``."""
