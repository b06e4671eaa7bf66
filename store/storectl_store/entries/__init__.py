"""Entries: unpacked wheels on disk, staged, committed, recovered and verified."""
