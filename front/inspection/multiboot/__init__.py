"""What a Multiboot loader left for the kernel, decoded.

::

    information.py   the public part: read it, and judge it
    version_1.py     one structure with flags
    version_2.py     tags
    reading.py       pieces of memory, and what is wrong with them
    values.py        what comes out: `MultibootInfo`
"""
