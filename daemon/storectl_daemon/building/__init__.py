"""Building wheels: of source archives, of commits, and editable ones of local projects.

builder   what is asked for, on the event loop -> worker, a process of its own: source -> isolation -> backend -> wheel
"""
