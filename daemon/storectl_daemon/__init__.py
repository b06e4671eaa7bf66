"""The daemon: all concurrency, network and policy around one store."""
