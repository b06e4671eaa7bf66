"""Packs, made from what programs say that they import."""
