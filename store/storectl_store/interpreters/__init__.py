"""Python interpreters: found on the machine, asked for their facts, and chosen for a request."""
