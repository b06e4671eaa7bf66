"""warming."""
