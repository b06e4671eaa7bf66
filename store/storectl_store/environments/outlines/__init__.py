"""Outlines of entries: all that planning needs of them."""
