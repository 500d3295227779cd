"""Values of C types for a JSON document that any program can read.

JavaScript reads JSON's numbers as 64-bit floating point: above 2**53 digits get lost.  So what has an integer type of
more than 32 bits is hexadecimal text, however small it is; infinities, and what is no number, are words.

>>> from hillemu.inspection.structs.types import Integer
>>> for_json(-5, Integer("long long", 8, signed=True)), for_json(-5, Integer("int", 4, signed=True))
('-0x5', -5)
"""

from __future__ import annotations

from math import isfinite
from typing import Any

from hillemu.inspection.structs.types import Array, CType, Record
from hillemu.inspection.structs.values import ArrayValue, EnumValue, StructValue

MOST_BYTES = 4
"""Of an integer that is a number in JSON."""


def for_json(value: Any, kind: CType) -> Any:
    """`value`, read as a `kind`: structures as dictionaries, text and enumerators as strings, pointers as numbers."""
    bare = kind.bare
    match value:
        case StructValue():
            record = value.type_.bare
            assert isinstance(record, Record)
            return {name: for_json(value[name], record.member(name).type) for name in record.member_names}
        case ArrayValue():
            assert isinstance(bare, Array)
            return value.text if value.is_text else [for_json(one, bare.element) for one in value]
        case EnumValue() if value.name is not None:
            return value.name
        case float():
            return value if isfinite(value) else str(value)
        case bool():
            return value
        case int():
            return int(value) if kind.size_bytes <= MOST_BYTES else f"{int(value):#x}"
    return value
