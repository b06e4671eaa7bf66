"""The Jupyter kernel of a project, and the kernelspec by which Jupyter finds it."""
