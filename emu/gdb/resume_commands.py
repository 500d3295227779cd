"""c C s S vCont bc bs: set the machine in motion; ? and the stop reply.

A machine has no signals, so those that C and S would deliver are ignored.
"""

from __future__ import annotations

from functools import lru_cache

from hillemu.emu.gdb.context import UNKNOWN, Command, Context, Reply
from hillemu.emu.gdb.fields import Malformed, address, enhex, number
from hillemu.emu.gdb.register_commands import expedited
from hillemu.emu.gdb.registers import BY_NAME
from hillemu.emu.gdb.target import Ended, Motion, Outcome, Resume, StopCause, Unsupported

THREAD = b"1"
_ALL_THREADS = (b"-1", b"0")


def stop_reply(context: Context, outcome: Outcome) -> bytes:
    """``T`` with why the machine stopped and what GDB wants to know first, or ``W`` when the run is over."""
    if isinstance(outcome, Ended):
        return b"W%02x" % (outcome.status & 0xFF)
    return b"T%02x%b%bthread:%b;" % (outcome.signal, expedited(context.target), _cause(context, outcome), THREAD)


def _cause(context: Context, stop: Outcome) -> bytes:
    assert not isinstance(stop, Ended)
    match stop.cause:
        case StopCause.STEP:
            return b""
        case StopCause.SOFTWARE_BREAKPOINT:
            return b"swbreak:;" if context.knows_swbreak else b""
        case StopCause.HARDWARE_BREAKPOINT:
            return b"hwbreak:;" if context.knows_hwbreak else b""
        case StopCause.HISTORY_BEGINS:
            return b"replaylog:begin;"
        case _:
            return b"%b:%x;" % (stop.cause.value.encode("ascii"), stop.watched or 0)


def _why(context: Context, arguments: bytes) -> Reply:
    return stop_reply(context, context.target.last_stop())


def _start(context: Context, how: Resume) -> Reply:
    context.target.resume(how)
    context.running = True
    return None


def _jump_and_start(context: Context, at: bytes, how: Resume) -> Reply:
    if at:
        context.target.write_register(BY_NAME["eip"], address(at).to_bytes(4, "little"))
    return _start(context, how)


def _continue(context: Context, arguments: bytes) -> Reply:
    return _jump_and_start(context, arguments, Resume(Motion.CONTINUE))


def _step(context: Context, arguments: bytes) -> Reply:
    return _jump_and_start(context, arguments, Resume(Motion.STEP))


def _continue_with_signal(context: Context, arguments: bytes) -> Reply:
    return _continue(context, _behind_signal(arguments))


def _step_with_signal(context: Context, arguments: bytes) -> Reply:
    return _step(context, _behind_signal(arguments))


def _behind_signal(arguments: bytes) -> bytes:
    signal, _, at = arguments.partition(b";")
    number(signal)
    return at


def _resume_threads(context: Context, arguments: bytes) -> Reply:
    return _start(context, _action_for_us(arguments))


@lru_cache(maxsize=16)  # GDB sends the same few by the ten thousand
def _action_for_us(arguments: bytes) -> Resume:
    """``;action[:thread];...``: the first action that names our one thread, or all."""
    if not arguments.startswith(b";"):
        raise Malformed("vCont without an action")
    wanted = None
    for item in arguments[1:].split(b";"):
        action, colon, thread = item.partition(b":")
        how = _action(action)
        if wanted is None and (not colon or thread in (THREAD, *_ALL_THREADS)):
            wanted = how
    if wanted is None:
        raise Malformed("vCont resumes no thread")
    return wanted


def _action(text: bytes) -> Resume:
    letter, rest = text[:1], text[1:]
    if letter in (b"C", b"S"):
        number(rest)
        rest = b""
    if letter in (b"c", b"C") and not rest:
        return Resume(Motion.CONTINUE)
    if letter in (b"s", b"S") and not rest:
        return Resume(Motion.STEP)
    if letter == b"r":
        start, comma, end = rest.partition(b",")
        if comma:
            return Resume(Motion.STEP, (address(start), address(end)))
    raise Malformed(f"{text[:20]!r} is not an action")


def _actions(context: Context, arguments: bytes) -> Reply:
    return b"vCont;c;C;s;S;r"


def _reverse(context: Context, arguments: bytes) -> Reply:
    motion = {b"c": Motion.REVERSE_CONTINUE, b"s": Motion.REVERSE_STEP}.get(arguments)
    if motion is None:
        return UNKNOWN
    if not context.target.goes_backwards:
        raise Unsupported("reverse execution")
    return _start(context, Resume(motion))


def console(text: str) -> bytes:
    """A line for the person at the debugger, which GDB prints while the machine runs."""
    return b"O" + enhex((text + "\n").encode("utf-8"))


COMMANDS: dict[bytes, Command] = {
    b"?": _why,
    b"c": _continue,
    b"s": _step,
    b"C": _continue_with_signal,
    b"S": _step_with_signal,
    b"b": _reverse,
}
NAMED: dict[bytes, Command] = {b"vCont": _resume_threads, b"vCont?": _actions}
