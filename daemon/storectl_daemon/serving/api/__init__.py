"""The HTTP API, version 1: its routes, its answers for errors, and its OpenAPI document."""
