"""Package indexes: their configuration in pip, uv and Poetry, their pages, and the look-up of a pin's file."""
