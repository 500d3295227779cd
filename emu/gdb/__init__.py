"""GDB's remote serial protocol, as a state machine without sockets.

::

    bytes --> framing.py --> session.py --> *_commands.py, queries.py --> target.py (a Protocol)
    bytes <-- framing.py <--     |
                                 +-- context.py: what the commands of one connection share

`session.Session` is what a server holds; whoever has something to debug fulfils `target.Target`.  Nothing here knows a
PC, a socket or a file.

Source: Debugging with GDB, appendix "GDB Remote Serial Protocol".
"""
