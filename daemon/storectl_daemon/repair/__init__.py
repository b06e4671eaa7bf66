"""Verify and repair: every kind of thing below the store is compared with what it was made from, and made again if asked.

repairer.py       all parts, in order; the look that a warm takes
examined.py       what a part says of one thing, and how it is mended
*_part.py         one part of the store each
addresses.py      where a wheel can be fetched again
users.py          whose environments these are, and having them made again
"""
