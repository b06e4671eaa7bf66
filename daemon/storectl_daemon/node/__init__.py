"""The daemon of a node: one store for many users, asked for wheels by their digests, by users' own daemons."""
