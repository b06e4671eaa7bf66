"""Packs: made from what programs say that they import, and the standard library's files read ahead of a start."""
