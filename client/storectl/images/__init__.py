"""Images on this node: where they are staged, what runs in them, what a run of a program uses."""
