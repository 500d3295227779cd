"""Questions and settings: what both sides can do, the one thread, monitor commands, the end."""

from __future__ import annotations

from hillemu.emu.gdb.context import OK, UNKNOWN, Command, Context, Reply
from hillemu.emu.gdb.fields import enhex, number, unhex
from hillemu.emu.gdb.framing import MAX_PACKET_BYTES
from hillemu.emu.gdb.resume_commands import THREAD, stop_reply
from hillemu.emu.gdb.target import Unsupported
from hillemu.emu.gdb.transfers import SUPPORTED as DOCUMENTS


def _supported(context: Context, arguments: bytes) -> Reply:
    theirs = arguments.lstrip(b":").split(b";")
    context.knows_swbreak = b"swbreak+" in theirs
    context.knows_hwbreak = b"hwbreak+" in theirs
    context.understands_messages = b"error-message+" in theirs
    ours = [
        b"PacketSize=%x" % MAX_PACKET_BYTES,
        b"QStartNoAckMode+",
        b"vContSupported+",
        b"binary-upload+",
        b"error-message+",
    ]
    ours += [b"swbreak+", b"hwbreak+", b"ConditionalBreakpoints+", *DOCUMENTS]
    backwards = b"+" if context.target.goes_backwards else b"-"
    return b";".join([*ours, b"ReverseStep" + backwards, b"ReverseContinue" + backwards])


def _stop_acknowledging(context: Context, arguments: bytes) -> Reply:
    context.no_ack = True
    return OK


def _current_thread(context: Context, arguments: bytes) -> Reply:
    return b"QC" + THREAD


def _first_threads(context: Context, arguments: bytes) -> Reply:
    return b"m" + THREAD


def _next_threads(context: Context, arguments: bytes) -> Reply:
    return b"l"


def _thread_words(context: Context, arguments: bytes) -> Reply:
    return enhex(b"i386 processor")


def _attached(context: Context, arguments: bytes) -> Reply:
    """The machine was there before: GDB detaches at its end, and does not kill."""
    return b"1"


def _offsets(context: Context, arguments: bytes) -> Reply:
    """Symbols are where the file says.  Who debugs a kernel before paging at its load address tells GDB so."""
    return b"Text=0;Data=0;Bss=0"


def _no_symbols_wanted(context: Context, arguments: bytes) -> Reply:
    return OK


def _qemu_supported(context: Context, arguments: bytes) -> Reply:
    return b"PhyMemMode"


def _monitor(context: Context, arguments: bytes) -> Reply:
    command = unhex(arguments.removeprefix(b",")).decode("utf-8", "replace")
    return enhex(context.target.monitor(command).encode("utf-8")) or OK


def _select_thread(context: Context, arguments: bytes) -> Reply:
    """All operations mean the one processor; the protocol wants the choice confirmed."""
    return OK if arguments[:1] in (b"g", b"c", b"m") and _is_ours(arguments[1:]) else b"E02"


def _thread_alive(context: Context, arguments: bytes) -> Reply:
    return OK if _is_ours(arguments) else b"E02"


def _is_ours(thread: bytes) -> bool:
    return thread == b"-1" or number(thread) in (0, int(THREAD))


def _extended(context: Context, arguments: bytes) -> Reply:
    context.extended = True
    return OK


def _detach(context: Context, arguments: bytes) -> Reply:
    if arguments:
        number(arguments.removeprefix(b";"))
    context.target.detach()
    context.closing = True
    return OK


def _kill(context: Context, arguments: bytes) -> Reply:
    context.target.kill()
    context.closing = True
    return None


def _kill_process(context: Context, arguments: bytes) -> Reply:
    """In extended mode the machine is there to be run again, and its breakpoints are forgotten."""
    number(arguments.removeprefix(b";"))
    if context.extended:
        context.target.detach()
        context.target.restart()
    else:
        _kill(context, b"")
    return OK


def _restart(context: Context, arguments: bytes) -> Reply:
    context.target.restart()
    return None


def _run(context: Context, arguments: bytes) -> Reply:
    """``vRun;program;argument...``: boot again.  What is run is the machine, whatever program GDB names."""
    if not context.extended:
        raise Unsupported("to run something without extended mode")
    context.target.restart()
    return stop_reply(context, context.target.last_stop())


def _must_reply_empty(context: Context, arguments: bytes) -> Reply:
    return UNKNOWN


COMMANDS: dict[bytes, Command] = {
    b"!": _extended,
    b"H": _select_thread,
    b"T": _thread_alive,
    b"D": _detach,
    b"k": _kill,
    b"R": _restart,
}
NAMED: dict[bytes, Command] = {
    b"qSupported": _supported,
    b"QStartNoAckMode": _stop_acknowledging,
    b"qC": _current_thread,
    b"qfThreadInfo": _first_threads,
    b"qsThreadInfo": _next_threads,
    b"qThreadExtraInfo": _thread_words,
    b"qAttached": _attached,
    b"qOffsets": _offsets,
    b"qSymbol": _no_symbols_wanted,
    b"qqemu.Supported": _qemu_supported,
    b"qRcmd": _monitor,
    b"vKill": _kill_process,
    b"vRun": _run,
    b"vMustReplyEmpty": _must_reply_empty,
}
