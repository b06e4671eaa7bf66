"""Building wheels: of source archives, of commits, and editable ones of local projects.

build_options   what the project's own tool would obey (uv_build, poetry_build, pdm_build, pip_build) -> recipe
builder         what is asked for (order), on the event loop; what was built before (known_builds)
worker          a process of its own: source -> isolation -> backend -> wheel, its variables observed
"""
