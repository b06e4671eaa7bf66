"""Selection from ``pylock.toml`` (PEP 751)."""
