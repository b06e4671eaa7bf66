"""Images: one environment as one file, and what becomes of it on a node (docs/adr/0061-images.md)."""
