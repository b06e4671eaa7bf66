"""Environments: a closure made visible as a directory (the view) and an import map."""
