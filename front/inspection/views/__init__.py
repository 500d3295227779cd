"""What `hillemu inspect` shows: one view per word of its command line, over the data of `hillemu.inspection`.

::

    request.py      words of the command line to `Request`s; the table of all views
    addresses.py    ``kmain+0x10``, ``$esp``, ``0xC0100000``: what people write for an address
    moments.py      ``--at``: running to a symbol, an address, a number of instructions, the end
    scene.py        the machine at that moment, as views see it
    shown.py        what a view gives back: tables and text for people, data for programs
    ..._view.py     the views
    terminal.py     results on a terminal or in a pipe
    page.py         results as one HTML file; pictures.py draws its address spaces

A view only looks: asking for one more view changes no other's answer.
"""
