"""Frozen mode: what was warmed before is found by reading files alone. Nothing is written, started or asked."""
