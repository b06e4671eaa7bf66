"""Fronts: virtual environments of a project's own, made of links to the packages of an environment."""
