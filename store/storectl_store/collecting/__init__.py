"""The life of a store: what is kept, why, and how the rest goes."""
