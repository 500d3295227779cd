"""Random C structures, and what gcc makes of them: the oracle for layouts.

gcc is asked by constants in an object file, not by debugging information, so that this can be checked too.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import strategies as st

SCALARS = (
    *("char", "signed char", "unsigned char", "short", "unsigned short", "int", "unsigned", "long", "unsigned long"),
    *("long long", "unsigned long long", "float", "double", "long double", "_Bool", "void *", "int (*{})(char)"),
    *("enum color", "struct small", "union both", "aligned_int", "bytes_t", "struct unknown *"),
)
BIT_TYPES = {"char": 8, "unsigned short": 16, "int": 32, "unsigned": 32, "long long": 64, "_Bool": 1, "enum color": 32}
PRELUDE = """
enum color { RED, GREEN = 5, BLUE };
struct small { char a; short b; };
union both { int i; double d; char text[5]; };
typedef int aligned_int __attribute__((aligned(8)));
typedef unsigned char bytes_t[3];
"""


class Made(NamedTuple):
    """A structure in C; `plain` are members to ask offsetof, `bits` bit-fields."""

    text: str
    plain: tuple[str, ...]
    bits: tuple[str, ...]


class Facts(NamedTuple):
    """What gcc says: sizes and offsets in bytes, bit-fields as (first bit, number of bits)."""

    size_bytes: int
    align_bytes: int
    offsets: dict[str, int]
    bits: dict[str, tuple[int, int]]


def declared(kind: str, name: str) -> str:
    return kind.format(name) if "{}" in kind else f"{kind} {name}"


@st.composite
def structures(draw: Callable[[Any], Any]) -> list[Made]:
    """A few structures, the later of which may contain the earlier ones."""
    made: list[Made] = []
    for number in range(draw(st.integers(1, 6))):
        plain: list[str] = []
        bits: list[str] = []
        earlier = [f"t{before}" for before in range(number)]
        lines = [_member(draw, f"m{index}", earlier, plain, bits) for index in range(draw(st.integers(1, 8)))]
        kind = draw(st.sampled_from(["struct"] * 5 + ["union"]))
        attributes = draw(st.sampled_from([""] * 4 + ["packed", "aligned(2)", "aligned(16)", "packed, aligned(4)"]))
        body = f"{kind} s{number} {{ {' '.join(lines)} }}" + (f" __attribute__(({attributes}));" if attributes else ";")
        pack = draw(st.sampled_from([0] * 6 + [1, 2, 4]))
        if pack:
            body = f"#pragma pack(push, {pack})\n{body}\n#pragma pack(pop)"
        made.append(Made(f"{body}\ntypedef {kind} s{number} t{number};\n", tuple(plain), tuple(bits)))
    return made


def _member(draw: Callable[[Any], Any], name: str, earlier: list[str], plain: list[str], bits: list[str]) -> str:
    form = draw(st.sampled_from(["plain"] * 4 + ["bits"] * 4 + ["array", "unnamed", "nested", "attribute"]))
    if form == "bits":
        kind = draw(st.sampled_from(sorted(BIT_TYPES)))
        bits.append(name)
        return f"{kind} {name} : {draw(st.integers(1, BIT_TYPES[kind]))};"
    if form == "unnamed":
        kind = draw(st.sampled_from(["char", "unsigned short", "int", "long long"]))
        return f"{kind} : {draw(st.integers(0, BIT_TYPES[kind]))};"
    plain.append(name)
    if form == "nested":
        plain[-1:] = [f"{name}_x", f"{name}_y"]
        inner = draw(st.sampled_from(["struct", "union"]))
        return f"{inner} {{ char {name}_x; {draw(st.sampled_from(SCALARS[:14]))} {name}_y; }};"
    kind = draw(st.sampled_from([*SCALARS, *earlier]))
    if form == "array" and "{}" not in kind and kind != "aligned_int":
        return f"{kind} {name}[{draw(st.integers(0, 3))}];"
    text = declared(kind, name)
    if form == "attribute":
        text += f" __attribute__(({draw(st.sampled_from(['packed', 'aligned(2)', 'aligned(8)']))}))"
    return f"{text};"


def compile_facts(made: list[Made], folder: Path, gcc: str) -> tuple[bytes, list[Facts]]:
    """The object file with debugging information, and what its constants say of each structure."""
    source = [PRELUDE]
    for number, one in enumerate(made):
        source.append(one.text)
        facts = [f"sizeof(t{number})", f"_Alignof(t{number})"]
        facts += [f"__builtin_offsetof(t{number}, {name})" for name in one.plain]
        source.append(f"t{number} object{number}; const unsigned facts{number}[] = {{ {', '.join(facts)} }};")
        source += [f"t{number} bits{number}_{name} = {{ .{name} = -1 }};" for name in one.bits]
    (folder / "made.c").write_text("\n".join(source))
    target = folder / "made.o"
    command = [gcc, "-m32", "-g", "-O0", "-w", "-fno-pic", "-c", "-o", str(target), str(folder / "made.c")]
    subprocess.run(command, check=True, capture_output=True, text=True)
    elf = target.read_bytes()
    read = _object_reader(elf)
    result = []
    for number, one in enumerate(made):
        words = read(f"facts{number}")
        size, align, *offsets = (int.from_bytes(words[at : at + 4], "little") for at in range(0, len(words), 4))
        fields = {}
        for name in one.bits:
            value = int.from_bytes(read(f"bits{number}_{name}"), "little")
            fields[name] = ((value & -value).bit_length() - 1, value.bit_count())
        result.append(Facts(size, align, dict(zip(one.plain, offsets, strict=True)), fields))
    return elf, result


def _object_reader(elf: bytes) -> Callable[[str], bytes]:
    from elftools.elf.elffile import ELFFile

    file = ELFFile(BytesIO(elf))
    symbols = {symbol.name: symbol for symbol in file.get_section_by_name(".symtab").iter_symbols()}

    def read(name: str) -> bytes:
        symbol = symbols[name]
        section = file.get_section(symbol["st_shndx"])
        data: bytes = section.data()[symbol["st_value"] : symbol["st_value"] + symbol["st_size"]]
        return data

    return read
