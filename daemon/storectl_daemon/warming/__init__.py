"""Warming: makes the environment of a project from its inputs, and remembers what each project was given."""
