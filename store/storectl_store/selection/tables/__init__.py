"""TOML and JSON files as typed tables, with errors that name file, line and key."""
