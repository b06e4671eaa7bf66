"""The daemon as a process: settings, logs, memory, its end when idle, and concurrency on the event loop."""
