"""Numbers of instructions as people write them.

>>> parse_count("10_000_000"), parse_count("20M"), parse_count("1.5k")
(10000000, 20000000, 1500)
>>> parse_count("1.5"), parse_count("-1"), parse_count("0x10")
(None, None, None)
"""

from __future__ import annotations

import re

SCALES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
"""What stands behind a number, in small letters."""
_COUNT = r"(\d[\d_]*)(?:\.(\d+))?([kmg]?)"
_MOST_DIGITS = 18
"""The processor counts in 64 bits."""


def parse_count(text: str) -> int | None:
    """A number, whole or with k, M or G behind it; `None` for what is none, and for one that is not whole."""
    found = re.fullmatch(_COUNT, text, re.IGNORECASE | re.ASCII)  # compiled only where there is a number
    if found is None:
        return None
    whole, fraction = found[1].replace("_", ""), found[2] or ""
    if len(whole) + len(fraction) > _MOST_DIGITS:
        return None
    count, rest = divmod(int(whole + fraction) * SCALES[found[3].lower()], 10 ** len(fraction))
    return None if rest or count >= 10**_MOST_DIGITS else count
