"""Selection from ``uv.lock`` and the lock files of scripts."""
