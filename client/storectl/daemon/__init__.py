"""How the command line finds, starts and talks to the daemon."""
