"""pylock."""
