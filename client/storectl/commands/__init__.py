"""The commands, one module for each; ``storectl.cli`` puts them together."""
