"""The commands, one module each; ``storectl.cli`` puts them together."""
