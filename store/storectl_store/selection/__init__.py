"""Selection: lock file x target -> pins, a pure function."""
