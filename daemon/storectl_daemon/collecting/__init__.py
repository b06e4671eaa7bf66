"""Policy of collecting: what is a root, when to collect, how much at a time."""
