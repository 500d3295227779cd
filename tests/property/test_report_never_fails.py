"""A crash report must come out of any wreck: random registers, random tables, random history."""

from __future__ import annotations

from random import Random
from types import SimpleNamespace

from hypothesis import given, settings
from hypothesis import strategies as st

from hillemu.emu.guest import FakeMemory, FakeRegisters, Segment
from hillemu.emu.stop import Stop, StopReason
from hillemu.report import crash_report

RAM_BYTES = 0x4000
SEGMENTS = ("cs", "ss", "ds", "es", "fs", "gs", "tr", "ldtr", "gdtr", "idtr")
addresses = st.one_of(st.integers(0, RAM_BYTES), st.integers(0, 0xFFFFFFFF), st.sampled_from([0, 0xFFFFFFFF, 0xFFF]))
segments = st.builds(
    Segment, st.integers(0, 0xFFFF), addresses, addresses, st.integers().map(lambda raw: raw & 0xF0FF00)
)
deliveries = st.builds(
    SimpleNamespace,
    kind=st.sampled_from(["exception", "interrupt", "software"]),
    vector=st.one_of(st.sampled_from([6, 7, 8, 13, 14]), st.integers(0, 255)),
    error_code=st.one_of(st.none(), st.integers(0, 0xFFFF)),
    cs=st.integers(0, 0xFFFF),
    eip=addresses,
    cr2=addresses,
    at=st.integers(0, 2),
)


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 1 << 32),
    general=st.fixed_dictionaries(dict.fromkeys(("eip", "esp", "ebp", "cr2", "cr3", "eflags"), addresses)),
    cr0=st.sampled_from([0x10, 0x1, 0x80000001, 0x80010001]),
    cr4=st.sampled_from([0, 0x10, 0x20, 0x300030]),
    hidden=st.fixed_dictionaries(dict.fromkeys(SEGMENTS, segments)),
    history=st.lists(deliveries, max_size=20),
    reason=st.sampled_from(StopReason),
)
def test_every_wreck_gets_a_report(
    seed: int,
    general: dict[str, int],
    cr0: int,
    cr4: int,
    hidden: dict[str, Segment],
    history: list[SimpleNamespace],
    reason: StopReason,
) -> None:
    memory, registers = FakeMemory(RAM_BYTES), FakeRegisters()
    random = Random(seed)
    # Entries that often lead to other tables in RAM: small frame numbers and all kinds of flags.
    for at in range(0, RAM_BYTES, 4):
        memory.set_u32(at, random.getrandbits(14) if random.random() < 0.8 else random.getrandbits(32))
    registers.values.update(general, cr0=cr0, cr4=cr4)
    registers.segments.update(hidden)
    symbols = SimpleNamespace(nearest=lambda at: ("f", at & 0xFF) if at & 0x100 else None)
    before = bytes(memory.data)
    report = crash_report(
        SimpleNamespace(stop=Stop(reason), registers=registers, memory=memory, deliveries=history, symbols=symbols)
    )
    assert report.startswith(f"---- guest stopped: {reason}")
    assert "-- code around EIP" in report
    assert memory.data == before
