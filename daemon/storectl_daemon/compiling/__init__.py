"""Bytecode: of entries, compiled after their environment is ready, and of the shim, compiled before it."""
