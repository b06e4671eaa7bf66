"""Python interpreters: where they are found, what each one is, and which one a request means."""
