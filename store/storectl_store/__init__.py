"""The store: lock files to pins, wheels to entries, entries to environments. Synchronous, and without a network."""
