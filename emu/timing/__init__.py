"""Cycle-level timing: what each instruction costs on an i386, i486 or Pentium, as documented tables.

`data/` has the tables, which people read and correct; `tables` reads and checks them; `opcodes` says which table row an
instruction belongs to; `model` joins both with a geometry and makes the flat arrays that the native core reads.

Nothing here is imported unless `--timing` asks for it.
"""
