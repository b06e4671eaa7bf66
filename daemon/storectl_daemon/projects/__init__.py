"""Registered projects: the book of them, the inputs and records of each on disk, and the watching of their folders."""
