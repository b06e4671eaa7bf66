"""Bytecode of entries, compiled in processes of the interpreter it is for."""
