"""Whatever comes over the wire: the stub answers as the protocol allows, and never fails."""

from __future__ import annotations

import random
import re

from gdb_target import FakeTarget, packet, packets_in
from hypothesis import given, settings
from hypothesis import strategies as st

from hillemu.emu.gdb.registers import GDBS_OWN, LAYOUT
from hillemu.emu.gdb.session import Session
from hillemu.emu.gdb.target import HostSignal, Stopped

EXAMPLES, PACKETS = 500, 200
"""100,000 packets in all."""

GOOD = [
    *(b"g", b"p8", b"P0=01000000", b"G" + b"00" * 308, b"m100,40", b"x100,40", b"M100,4:01020304", b"X100,3:abc"),
    *(b"Z0,c0100000,1", b"z0,c0100000,1", b"Z1,7c00,1", b"Z2,1000,4", b"?", b"c", b"s", b"c1000", b"C05", b"S05;1000"),
    *(b"Z0,c0100000,1;X3,220127", b"Z1,7c00,1;X7,26000122051327", b"Z0,100000,1;X9,241000001922051327;X5,2205210002"),
    *(b"Z0,7c00,1;Xc,260001200009220027220127X4,26000827",),
    *(b"vCont?", b"vCont;c", b"vCont;s:1;c", b"vCont;r1000,1010:1", b"bc", b"bs", b"!", b"Hg0", b"Hc-1", b"T1"),
    *(b"qSupported:swbreak+;hwbreak+", b"qXfer:features:read:target.xml:0,ffb", b"qXfer:memory-map:read::0,ffb"),
    *(b"qXfer:threads:read::0,ffb", b"qC", b"qfThreadInfo", b"qsThreadInfo", b"qAttached", b"qOffsets", b"qSymbol::"),
    *(b"qRcmd,68656c70", b"Qqemu.PhyMemMode:1", b"qqemu.PhyMemMode", b"vMustReplyEmpty", b"vFile:setfs:0", b"R00"),
    *(b"QStartNoAckMode", b"qThreadExtraInfo,1", b"qTStatus", b"vRun;;61", b"vKill;1", b"D", b"k"),
]
SIGNS = b"$#}*+-:;,.=0123456789abcdefxX?\x00\x03\x7f\xff"
REGISTER_DIGITS = re.compile(rb"(?:[0-9a-f]{2}|xx)+")


def mutated(dice: random.Random) -> bytes:
    """A good packet, or one that was changed in a few places; perhaps with a broken frame around it."""
    body = bytearray(dice.choice(GOOD))
    for _ in range(dice.choice((0, 1, 1, 2, 4))):
        at = dice.randrange(len(body) + 1)
        change = dice.randrange(5)
        if change == 0:
            body[at:at] = bytes([dice.choice(SIGNS)])
        elif change == 1:
            del body[at : at + dice.randrange(1, 4)]
        elif change == 2:
            body[at : at + 1] = bytes([dice.randrange(256)])
        elif change == 3:
            body[at:at] = body[: dice.randrange(len(body) + 1)]
        else:
            body[at:at] = dice.choice((b"ffffffff", b"-1", b"ffffffffffffffff", b"0" * 40, b"100000000"))
    whole = bytearray(packet(bytes(body)))
    if dice.random() < 0.1:
        whole[dice.randrange(len(whole))] = dice.randrange(256)
    return bytes(whole)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.integers(0, 1 << 32))
def test_mutated_packets_are_answered_and_errors_are_E_and_two_digits(seed: int) -> None:  # noqa: N802
    dice = random.Random(seed)
    session = Session(target := FakeTarget())
    for _ in range(PACKETS):
        if session.closed:
            session = Session(target := FakeTarget())
        sent = session.receive(mutated(dice))
        for answer in packets_in(sent):
            assert not answer.startswith(b"E") or re.fullmatch(rb"E[0-9a-f]{2}", answer), answer
        if session.running and dice.random() < 0.8:
            (told,) = packets_in(session.stopped(Stopped(HostSignal.TRAP)))
            assert told.startswith(b"T05")
    # After all that, the stub still works.
    while session.running:
        session.stopped(Stopped(HostSignal.TRAP))
    if session.closed:
        session = Session(target)
    answers = packets_in(session.receive(b"#00" + packet(b"g")))
    assert REGISTER_DIGITS.fullmatch(answers[-1])
    assert len(answers[-1]) in [2 * sum(one.size_bytes for one in registers) for registers in (GDBS_OWN, LAYOUT)]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=20))
def test_arbitrary_bytes_are_survived(pieces: list[bytes]) -> None:
    session = Session(FakeTarget())
    for piece in pieces:
        packets_in(session.receive(piece))
        session.stopped(Stopped(HostSignal.TRAP))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1 << 32))
def test_a_real_machine_survives_mutated_packets_and_values_in_all_registers(seed: int) -> None:
    from hillemu.debugging.history import History
    from hillemu.debugging.machine_target import MachineTarget
    from hillemu.machine import Machine

    dice = random.Random(seed)
    machine = Machine(mem="4M")
    machine.load_demo()
    session = Session(target := MachineTarget(machine, History(machine, [])))
    for _ in range(PACKETS):
        if session.closed:
            session = Session(target)
        wild = packet(b"P%x=%08x" % (dice.randrange(len(LAYOUT)), dice.randrange(1 << 32)))
        for answer in packets_in(session.receive(wild if dice.random() < 0.3 else mutated(dice))):
            assert not answer.startswith(b"E") or re.fullmatch(rb"E[0-9a-f]{2}", answer), answer
        if session.running:
            session.stopped(Stopped(HostSignal.TRAP))
            target.points.insert_breakpoints()
            target.points.insert_watchpoints()
