"""Verify and repair: everything below the store is compared with its source, and made again if asked.

repairer.py       all parts, in order; the look that a warm takes
examined.py       what a part says of one thing, and how it is mended
*_part.py         one part of the store each
addresses.py      addresses at which a wheel can be fetched again
users.py          the projects that use an environment, and having it made again
"""
