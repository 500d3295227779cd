"""Guest structures as data: C types, laid out as gcc lays them out for i386, read from a machine's memory.

::

    c_tokens.py      C text to tokens; the few preprocessor lines that pasted headers have
    c_constants.py   constant expressions: array lengths, values of enums, widths of bit-fields
    c_scope.py       the names that C text can use
    c_syntax.py      the grammar of types
    c_reader.py      declarations to types
    dwarf.py         the debugging information of an ELF file to types
    types.py         what a type is
    layout.py        where the ABI puts the members of a structure
    reading.py       exactly so many bytes, text, floating-point numbers
    values.py        memory read as a type: structures, arrays, pointers, numbers
    printing.py      values and types as text, as GDB prints them, and as HTML
    for_json.py      values for JSON
    sources.py       where values are read: an address space, or physical memory
    chains.py        linked lists
    type_library.py  all types by name: what `machine.structs` is

docs/structures.md is the guide.
"""
