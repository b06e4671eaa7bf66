"""Exports: plain virtual environments with files of their own, which need neither the store nor storectl."""
