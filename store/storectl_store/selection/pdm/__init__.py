"""Selection from ``pdm.lock``."""
