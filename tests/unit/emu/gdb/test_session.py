"""What GDB may ask, and what it is answered."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest
from gdb_target import RAM_BYTES, Client, FakeTarget, packet, packets_in

from hillemu.emu.gdb.framing import MAX_PACKET_BYTES, escape
from hillemu.emu.gdb.registers import BY_NAME, LAYOUT
from hillemu.emu.gdb.target import Ended, HostSignal, Motion, PointKind, Resume, StopCause, Stopped


@pytest.fixture
def client() -> Client:
    return Client(FakeTarget())


# ---- registers


def test_g_gives_all_registers_in_the_order_of_the_description(client: Client) -> None:
    client.target.values["eax"] = bytes.fromhex("78563412")
    client.target.values["dr7"] = bytes.fromhex("00040000")
    answer = client.ask(b"g") or b""
    assert len(answer) == 2 * sum(register.size_bytes for register in LAYOUT)
    assert answer.startswith(b"78563412")
    assert answer.endswith(b"00040000")


def test_the_first_registers_have_the_numbers_that_gdb_gives_an_i386() -> None:
    # gdb/i386-tdep.h, enum i386_regnum
    known = {"eax": 0, "esp": 4, "eip": 8, "eflags": 9, "cs": 10, "gs": 15, "st0": 16, "fctrl": 24, "xmm0": 32}
    assert {name: BY_NAME[name].number for name in known} == known
    assert BY_NAME["mxcsr"].number == 40


def test_a_client_without_the_description_has_the_registers_that_every_gdb_knows() -> None:
    """Which end with MXCSR, at byte 304 (gdb/features/i386/32bit-core.xml, 32bit-sse.xml)."""
    client = Client(FakeTarget(), knows_description=False)
    client.target.values["mxcsr"] = bytes.fromhex("801f0000")
    whole = client.ask(b"g") or b""
    assert len(whole) == 2 * 308
    assert whole.endswith(b"801f0000")
    assert client.ask(b"G01000000" + whole[8:]) == b"OK"
    assert client.target.values["eax"] == b"\1\0\0\0"
    assert client.ask(b"G" + whole + b"00000000") == b"E16"


def test_what_linux_keeps_behind_these_registers_is_in_no_processor() -> None:
    """A GDB on Linux without the description sets ORIG_EAX to -1 whenever it sets EIP."""
    client = Client(FakeTarget(), knows_description=False)
    assert client.ask(b"p29") == b"xxxxxxxx"
    assert client.ask(b"P29=ffffffff") == b"OK"
    assert client.ask(b"P29=ff") == b"E16"
    assert client.ask(b"p2a") == client.ask(b"P2a=00000000") == b"E16"
    assert not any(map(any, client.target.values.values()))


def test_a_register_that_cannot_be_known_is_shown_as_unavailable(client: Client) -> None:
    del client.target.values["st0"]
    assert client.ask(b"p10") == b"x" * 20


def test_p_and_capital_p_read_and_write_one(client: Client) -> None:
    assert client.ask(b"P3=efbeadde") == b"OK"
    assert client.ask(b"p3") == b"efbeadde"
    assert client.target.values["ebx"] == bytes.fromhex("efbeadde")


def test_capital_g_writes_only_what_differs(client: Client) -> None:
    """TR refuses every write: a G that repeats its value must not reach it."""
    whole = bytearray(client.ask(b"g") or b"")
    whole[0:8] = b"01000000"
    assert client.ask(b"G" + bytes(whole)) == b"OK"
    assert client.target.values["eax"] == b"\1\0\0\0"


def test_a_write_that_the_target_refuses_is_an_error(client: Client) -> None:
    assert client.ask(b"P%x=01000000" % BY_NAME["tr"].number) == b"E16"


# ---- memory


def test_memory_is_read_as_hexadecimal_digits_and_as_it_is(client: Client) -> None:
    assert client.ask(b"m23,4") == b"23242526"
    assert client.ask(b"x23,4") == b"b" + b"\x23\x24\x25\x26"


def test_a_read_over_the_end_of_memory_gives_what_there_is_and_behind_it_an_error(client: Client) -> None:
    assert client.ask(b"m%x,10" % (RAM_BYTES - 2)) == b"feff"
    assert client.ask(b"m%x,10" % RAM_BYTES) == b"E0e"
    assert client.ask(b"mffffffffc0100000,4") == b"E0e"
    assert client.target.accesses[-1] == (0xC0100000, False)


def test_a_read_of_nothing_succeeds(client: Client) -> None:
    assert client.ask(b"m0,0") == b""


def test_no_answer_is_longer_than_the_client_was_told(client: Client) -> None:
    client.target.ram = bytearray(b"}" * (4 * MAX_PACKET_BYTES))
    for command in (b"m", b"x"):
        sent = client.session.receive(packet(command + b"0,%x" % (4 * MAX_PACKET_BYTES)))
        assert MAX_PACKET_BYTES // 4 < len(sent) <= MAX_PACKET_BYTES + 5


def test_memory_is_written_both_ways(client: Client) -> None:
    assert client.ask(b"M10,3:c0ffee") == b"OK"
    assert client.ask(b"X20,4:" + escape(b"a#$}")) == b"OK"
    assert client.target.ram[0x10:0x13] == b"\xc0\xff\xee"
    assert client.target.ram[0x20:0x24] == b"a#$}"
    assert client.ask(b"X0,0:") == b"OK"  # how GDB asks whether X is understood


def test_physical_memory_is_read_while_that_is_asked_for(client: Client) -> None:
    assert client.ask(b"qqemu.PhyMemMode") == b"0"
    assert client.ask(b"Qqemu.PhyMemMode:1") == b"OK"
    client.ask(b"m1000,1")
    assert client.ask(b"qqemu.PhyMemMode") == b"1"
    client.ask(b"Qqemu.PhyMemMode:0")
    client.ask(b"m1000,1")
    assert client.target.accesses == [(0x1000, True), (0x1000, False)]


# ---- breakpoints


def test_breakpoints_of_both_kinds_are_set_and_removed(client: Client) -> None:
    assert client.ask(b"Z0,c0100000,1") == b"OK"
    assert client.ask(b"Z1,7c00,1") == b"OK"
    assert client.target.points == [
        (PointKind.SOFTWARE_BREAKPOINT, 0xC0100000, 1),
        (PointKind.HARDWARE_BREAKPOINT, 0x7C00, 1),
    ]
    assert client.ask(b"z0,c0100000,1") == b"OK"
    assert len(client.target.points) == 1


@pytest.mark.parametrize("conditions", [b"X3,220127X4,26000127", b"X3,220127;X4,26000127", b"X3,220127;X04,26000127"])
@pytest.mark.parametrize("kind", [PointKind.SOFTWARE_BREAKPOINT, PointKind.HARDWARE_BREAKPOINT])
def test_a_breakpoint_has_conditions_until_the_next_packet_for_it(
    client: Client, kind: PointKind, conditions: bytes
) -> None:
    """GDB writes one condition behind the other, the manual has a semicolon between them."""
    assert b"ConditionalBreakpoints+" in (client.ask(b"qSupported:swbreak+") or b"").split(b";")
    packet_ = b"Z%d,7c00,1" % kind
    client.target.values["ecx"] = (7).to_bytes(4, "little")
    assert client.ask(packet_ + b";" + conditions) == b"OK"
    assert [one.evaluate(client.target) for one in client.target.conditions[kind, 0x7C00]] == [1, 7]
    assert client.ask(packet_ + b";X3,220027") == b"OK"
    assert [one.evaluate(client.target) for one in client.target.conditions[kind, 0x7C00]] == [0]
    assert client.ask(packet_) == b"OK"
    assert client.target.conditions[kind, 0x7C00] == ()


@pytest.mark.parametrize("kind", [b"2", b"3", b"4", b"5"])
def test_points_that_the_target_does_not_know_are_answered_as_unknown(client: Client, kind: bytes) -> None:
    assert client.ask(b"Z" + kind + b",1000,4") == b""


# ---- motion


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (b"c", Resume(Motion.CONTINUE)),
        (b"s", Resume(Motion.STEP)),
        (b"C05", Resume(Motion.CONTINUE)),
        (b"S05", Resume(Motion.STEP)),
        (b"vCont;c", Resume(Motion.CONTINUE)),
        (b"vCont;s:1;c", Resume(Motion.STEP)),
        (b"vCont;s:7;c:-1", Resume(Motion.CONTINUE)),
        (b"vCont;C02:1", Resume(Motion.CONTINUE)),
        (b"vCont;r1000,1010:1;c", Resume(Motion.STEP, (0x1000, 0x1010))),
    ],
)
def test_every_way_to_go_on_is_answered_when_the_machine_stops(
    client: Client, command: bytes, expected: Resume
) -> None:
    assert client.ask(command) is None
    assert client.target.resumed == [expected]
    assert client.session.running
    (answer,) = packets_in(client.session.stopped(Stopped(HostSignal.TRAP)))
    assert answer.startswith(b"T05")
    assert not client.session.running


def test_a_jump_sets_the_program_counter_first(client: Client) -> None:
    client.ask(b"c7c00")
    assert client.target.values["eip"] == bytes.fromhex("007c0000")


def test_a_stop_reply_carries_the_registers_that_gdb_asks_for_first(client: Client) -> None:
    client.target.values["eip"] = bytes.fromhex("10321000")
    answer = client.ask(b"?") or b""
    assert (answer[:3], answer[-9:]) == (b"T05", b"thread:1;")
    assert b"04:00000000;05:00000000;" in answer
    assert b";08:10321000;" in answer


@pytest.mark.parametrize(("announced", "told"), [(b"swbreak+", True), (b"xmlRegisters=i386", False)])
def test_the_cause_is_told_to_a_client_that_understands_it(client: Client, announced: bytes, told: bool) -> None:
    client.ask(b"qSupported:multiprocess+;" + announced)
    client.ask(b"c")
    (answer,) = packets_in(client.session.stopped(Stopped(HostSignal.TRAP, StopCause.SOFTWARE_BREAKPOINT)))
    assert (b"swbreak:;" in answer) is told


def test_a_watchpoint_tells_the_address_that_was_touched(client: Client) -> None:
    client.ask(b"c")
    (answer,) = packets_in(client.session.stopped(Stopped(HostSignal.TRAP, StopCause.WRITE_WATCHPOINT, 0xC0DE)))
    assert b"watch:c0de;" in answer


def test_a_message_is_printed_before_the_stop_is_told(client: Client) -> None:
    client.ask(b"c")
    said, stop = packets_in(client.session.stopped(Stopped(HostSignal.SEGV, message="it shut down")))
    assert said == b"O" + b"it shut down\n".hex().encode()
    assert stop.startswith(b"T0b")


def test_the_end_of_the_run_is_told_with_its_status_and_closes_the_session(client: Client) -> None:
    client.ask(b"c")
    assert packets_in(client.session.stopped(Ended(33))) == [b"W21"]
    assert client.session.closed
    assert client.session.receive(packet(b"g")) == b""


def test_an_interrupt_reaches_a_machine_that_runs_and_one_that_stands_still_for_its_next_motion(client: Client) -> None:
    assert client.session.receive(b"\x03") == b""
    client.ask(b"c")
    assert client.session.receive(b"\x03") == b""
    assert [asked for asked in client.target.asked if asked == "interrupt"] == ["interrupt"] * 2


def test_nothing_but_an_interrupt_is_obeyed_while_the_machine_runs(client: Client) -> None:
    client.ask(b"c")
    assert client.ask(b"P0=01000000") == b"E16"
    assert client.target.values["eax"] == bytes(4)


def test_going_backwards_is_offered_by_a_target_that_can(client: Client) -> None:
    assert b"ReverseStep-;ReverseContinue-" in (client.ask(b"qSupported") or b"")
    assert client.ask(b"bc") == b""
    client.target.goes_backwards = True
    assert b"ReverseStep+;ReverseContinue+" in (client.ask(b"qSupported") or b"")
    assert client.ask(b"bs") is None
    assert client.target.resumed == [Resume(Motion.REVERSE_STEP)]


# ---- documents


def read_document(client: Client, name: bytes, annex: bytes, piece: int) -> bytes:
    text = b""
    while True:
        answer = client.ask(b"qXfer:%b:read:%b:%x,%x" % (name, annex, len(text), piece)) or b""
        text += answer[1:]
        if answer[:1] == b"l":
            return text
        assert answer[:1] == b"m"
        assert len(answer) == piece + 1


@pytest.mark.parametrize("piece", [100, 0xFFB, 1 << 30])
def test_the_target_description_declares_every_register_once_in_pieces_of_any_size(client: Client, piece: int) -> None:
    root = ElementTree.fromstring(read_document(client, b"features", b"target.xml", piece))
    assert root.findtext("architecture") == "i386"
    declared = [(int(one.get("regnum", "")), one.get("name"), int(one.get("bitsize", ""))) for one in root.iter("reg")]
    assert declared == [(register.number, register.name, register.bits) for register in LAYOUT]
    types = {one.get("id") for kind in ("flags", "vector", "union") for one in root.iter(kind)}
    built_in = {"int", "int32", "uint32", "data_ptr", "code_ptr", "i387_ext"}
    assert {register.type for register in LAYOUT} - built_in <= types


def test_16_bit_code_is_told_as_such(client: Client) -> None:
    client.target.machine_name = "i8086"
    root = ElementTree.fromstring(read_document(client, b"features", b"target.xml", 4096))
    assert root.findtext("architecture") == "i8086"


def test_the_memory_map_and_the_one_thread_are_told(client: Client) -> None:
    memory = ElementTree.fromstring(read_document(client, b"memory-map", b"", 64))
    assert [(one.get("type"), one.get("start"), one.get("length")) for one in memory.iter("memory")] == [
        ("ram", "0x0", "0x4000"),
        ("rom", "0xf0000", "0x10000"),
    ]
    threads = ElementTree.fromstring(read_document(client, b"threads", b"", 64))
    assert [one.get("id") for one in threads.iter("thread")] == ["1"]


def test_a_document_that_is_not_there_is_an_error_and_an_unknown_kind_is_unknown(client: Client) -> None:
    assert client.ask(b"qXfer:features:read:secret.xml:0,10") == b"E02"
    assert client.ask(b"qXfer:auxv:read::0,10") == b""
    assert client.ask(b"qXfer:features:write:target.xml:0:00") == b""


# ---- questions


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (b"qC", b"QC1"),
        (b"qfThreadInfo", b"m1"),
        (b"qsThreadInfo", b"l"),
        (b"qAttached", b"1"),
        (b"qOffsets", b"Text=0;Data=0;Bss=0"),
        (b"vCont?", b"vCont;c;C;s;S;r"),
        (b"vMustReplyEmpty", b""),
        (b"qqemu.Supported", b"PhyMemMode"),
        (b"Hg0", b"OK"),
        (b"Hc-1", b"OK"),
        (b"Hg7", b"E02"),
        (b"T1", b"OK"),
        (b"T2", b"E02"),
        (b"!", b"OK"),
        (b"qSymbol::", b"OK"),
        # unknown to us, or refused for good
        (b"", b""),
        (b"qTStatus", b""),
        (b"vFile:open:2f6574632f706173737764,0,0", b""),
        (b"vRun;2f62696e2f7368", b""),
        (b"vAttach;1", b""),
        (b"QNonStop:1", b""),
        (b"qCRC:0,10", b""),
    ],
)
def test_a_question_is_answered(client: Client, question: bytes, answer: bytes) -> None:
    assert client.ask(question) == answer


def test_a_monitor_command_is_carried_out_and_what_it_prints_comes_back(client: Client) -> None:
    assert client.ask(b"qRcmd," + "pt 0xÄ".encode().hex().encode()) == "you said pt 0xÄ\n".encode().hex().encode()
    assert client.target.asked == ["pt 0xÄ"]
    assert client.ask(b"qRcmd,") == b"OK"


@pytest.mark.parametrize(
    ("command", "answer", "asked"),
    [(b"D", b"OK", "detach"), (b"D;1", b"OK", "detach"), (b"k", None, "kill"), (b"vKill;1", b"OK", "kill")],
)
def test_the_client_can_take_its_leave(client: Client, command: bytes, answer: bytes | None, asked: str) -> None:
    assert client.ask(command) == answer
    assert client.target.asked == [asked]
    assert client.session.closed


def test_in_extended_mode_a_killed_machine_can_be_run_again(client: Client) -> None:
    assert client.ask(b"vRun;") == b""
    assert client.ask(b"!") == b"OK"
    assert client.ask(b"vKill;1") == b"OK"
    assert client.target.asked == ["detach", "restart"]
    assert (client.ask(b"vRun;6b2e656c66;61") or b"").startswith(b"T05")
    assert client.target.asked == ["detach", "restart", "restart"]
    assert not client.session.closed


def test_a_restart_boots_again_without_an_answer(client: Client) -> None:
    assert client.ask(b"R00") is None
    assert client.target.asked == ["restart"]
    assert not client.session.closed


@pytest.mark.parametrize(
    "malformed",
    [
        *(b"p", b"pzz", b"p1000", b"P0", b"P0=1", b"P0=zz000000", b"P0=0000000000", b"G00", b"Gzz"),
        *(b"m", b"m1", b"m1,", b"m,1", b"m-1,1", b"mg,1", b"m11111111111111111,1", b"x1", b"M0,1", b"M0,1:1"),
        *(b"M0,2:00", b"M0,1:zz", b"X0,1:", b"X0:a", b"Z", b"Z0", b"Z0,1", b"Z0,x,1", b"Z0,0,0", b"Z0,0,1,2"),
        *(b"Z0,0,1;X", b"Z0,0,1;X3", b"Z0,0,1;X3,", b"Z0,0,1;X2,220127", b"Z0,0,1;X3,22012", b"Z0,0,1;X3,220127;Y"),
        *(b"Z0,0,1;X2,2201", b"Z1,0,1;X1,01", b"Z2,0,1;X3,220127", b"Z0,0,1;cmds:0,X3,220127", b"z0,0,1;X3,220127"),
        *(b"z0,1", b"c!", b"s1,", b"C", b"Cxx", b"S;1", b"vCont", b"vCont;", b"vCont;x", b"vCont;c1", b"vCont;s:9"),
        *(
            b"vCont;r1:1",
            b"vCont;rx,y",
            b"vCont;Czz",
            b"qXfer",
            b"qXfer:features:read",
            b"qXfer:features:read:target.xml",
        ),
        *(b"qXfer:features:read:target.xml:0", b"qXfer:features:read:target.xml:x,1", b"qRcmd,6", b"qRcmd,zz"),
        *(b"Qqemu.PhyMemMode", b"Qqemu.PhyMemMode:2", b"Hg", b"Hgx", b"Tx", b"D;x", b"vKill;x"),
    ],
)
def test_a_malformed_packet_is_an_error_and_does_nothing(client: Client, malformed: bytes) -> None:
    before = (dict(client.target.values), bytes(client.target.ram))
    answer = client.ask(malformed)
    assert answer == b"E16"
    assert client.target.resumed == client.target.points == client.target.asked == []
    assert (dict(client.target.values), bytes(client.target.ram)) == before
    assert not client.session.running


def test_a_client_that_understands_messages_is_told_what_is_wrong(client: Client) -> None:
    """In characters that a packet can have: what is repeated to the client was its own."""
    write_tr = b"P%x=01000000" % BY_NAME["tr"].number
    assert client.ask(write_tr) == b"E16"
    assert b";error-message+;" in (client.ask(b"qSupported:swbreak+;error-message+") or b"")
    assert client.ask(write_tr) == b"E.read only"
    assert client.ask(b"m}\x03,1") == b"E.b'#' is not a hexadecimal number"
    assert client.ask(b"X4000,1:a") == b"E.no RAM"
    assert client.ask(b"c") is None
    assert client.ask(b"g") == b"E.the machine runs: only an interrupt is obeyed"
