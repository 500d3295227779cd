"""The firmware that a machine has when the user gives none: BIOS services and what firmware leaves in memory.

`rom.py` installs the ROM and the vectors that point into it, `data.py` writes the BIOS data areas.
"""
