"""Page tables as data: look at them, compare them, search them for mistakes.

::

    machine.paging                     Paging: the space that CR3 holds now, always as it is at the moment of asking
    machine.paging.at(cr3=0x5000)      Paging of another root; also mode=, cr0=, cr4=, efer=
    paging[0xC0100000]                 the walk's outcome (a read by whoever may read): Mapped, NotPresent, Denied,
                                       ReservedBit or OutsideRam; `.phys` is None where nothing is mapped
    paging.walk(at, access)            the same for one kind of access (`USER_WRITE`, ...)
    0xC0100000 in paging               whether it is mapped
    for region in paging               runs of pages (`Region`), merged by rights; `len(paging)` counts them
    paging.regions(split_flags=True)   runs that end where accessed, dirty, global or cache-disabled changes, too
    paging.who_maps(frame)             every page that maps a frame: one-frame `Region`s, in order of virtual address
    paging.tables                      the copied tables (`Tables`: `frames`, `links`)
    paging.capture()                   Capture: a value with all of the same, that stays as it is
    paging.diff(earlier)               list of Change: what is different now from `earlier` (a Capture or Paging)
    paging.statistics()                Statistics
    paging.lint(severity=, kernel=)    Findings, a sequence of Finding: rule, severity, range, what, why, advice
    paging.info_mem(), .info_tlb()     the texts of QEMU's monitor
    str(paging), paging._repr_html_()  the runs as a table

Everything only looks.  A `Capture` answers all of it without the machine, except `lint`'s questions about descriptor
tables, which it was told when it was made.

What else is here: `lint` and its rules, `structs` (C types), `multiboot`, `views` (`hillemu inspect`), the descriptor
tables in `tables` and the TSS in `tables_tss`.
"""

from __future__ import annotations
