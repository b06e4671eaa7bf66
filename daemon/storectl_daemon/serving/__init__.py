"""The daemon's socket: accepting connections, answering map requests at once, and HTTP with its limits."""
