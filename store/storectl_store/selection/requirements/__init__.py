"""Selection from requirements files with hashes."""
