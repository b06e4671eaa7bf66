"""Selection from ``Pipfile.lock``."""
