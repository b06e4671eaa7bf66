"""pipfile."""
