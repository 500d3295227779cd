"""Packets on the wire, whole and broken."""

from __future__ import annotations

import pytest
from gdb_target import Client, FakeTarget, expanded, packet, packets_in
from hypothesis import given
from hypothesis import strategies as st

from hillemu.emu.gdb.framing import MAX_PACKET_BYTES, Framer, Packet, Signal, escape, frame, unescape


def test_the_manuals_example_of_run_length_encoding_is_what_zeros_become() -> None:
    # "0* " stands for "0000"; more repeats count up from the space.
    assert expanded(b"0* ") == b"0000"
    assert frame(b"0" * 199 + b"1" * 900) == packet(b"0*~0*~000" + b"1" * 900)


@pytest.mark.parametrize("length", range(1, 320))
def test_runs_of_every_length_come_back_and_never_hold_a_packets_own_signs(length: int) -> None:
    for filler in (b"0", b"f", b"x", b"a"):
        for around in (b"", b"1", b"12" * 500):
            payload = around + filler * length + around
            assert packets_in(frame(payload)) == [payload]


@given(st.binary(max_size=300))
def test_binary_data_comes_back_from_escaping_and_framing(data: bytes) -> None:
    assert unescape(escape(data)) == data
    assert packets_in(frame(escape(data))) == [data]


@given(st.lists(st.binary(max_size=20), max_size=5), st.lists(st.integers(1, 7), min_size=1))
def test_packets_are_found_however_the_stream_is_cut(payloads: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(b"+" + packet(escape(payload)) for payload in payloads)
    framer = Framer()
    found: list[Signal | Packet] = []
    at = turn = 0
    while at < len(stream):
        step = cuts[turn % len(cuts)]
        found += framer.feed(stream[at : at + step])
        at, turn = at + step, turn + 1
    assert found == [item for payload in payloads for item in (Signal.ACK, Packet(payload, True))]


@given(st.binary(max_size=80), st.binary(min_size=2, max_size=2), st.booleans())
def test_a_packet_in_one_piece_is_what_it_is_byte_by_byte(body: bytes, trailer: bytes, is_intact: bool) -> None:
    data = packet(body) if is_intact else b"$" + body + b"#" + trailer
    framer = Framer()
    assert list(Framer().feed(data)) == [item for byte in data for item in framer.feed(bytes([byte]))]


def test_a_new_start_in_mid_packet_means_that_the_rest_of_the_old_one_was_lost() -> None:
    assert list(Framer().feed(b"$gar" + packet(b"?"))) == [Packet(b"?", True)]


@pytest.mark.parametrize("broken", [b"$?#00", b"$?#zz", b"$" + b"m" * (MAX_PACKET_BYTES + 1) + b"#00"])
def test_a_broken_packet_is_asked_for_again_and_not_obeyed(broken: bytes) -> None:
    client = Client(FakeTarget())
    assert client.session.receive(broken) == b"-"
    assert client.ask(b"?") is not None


def test_a_broken_packet_without_acknowledgements_is_answered_with_an_error() -> None:
    client = Client(FakeTarget())
    assert client.ask(b"QStartNoAckMode") == b"OK"
    assert client.session.receive(b"$k#00") == frame(b"E16")
    assert client.target.asked == []


def test_the_longest_packet_that_is_promised_is_taken() -> None:
    body = b"X0,%x:" % (MAX_PACKET_BYTES - 20)
    body += b"a" * (MAX_PACKET_BYTES - len(body))
    assert list(Framer().feed(packet(body))) == [Packet(body, True)]


def test_a_packet_is_acknowledged_until_the_client_wants_no_more_of_that() -> None:
    session = Client(FakeTarget()).session
    assert session.receive(packet(b"qC")) == b"+" + packet(b"QC1")
    # The setting's own answer is still acknowledged.
    assert session.receive(packet(b"QStartNoAckMode")) == b"+" + packet(b"OK")
    assert session.receive(packet(b"qC")) == packet(b"QC1")


def test_what_the_client_did_not_receive_well_is_sent_again() -> None:
    session = Client(FakeTarget()).session
    session.receive(packet(b"qC"))
    assert session.receive(b"-") == packet(b"QC1")
    assert session.receive(b"+") == b""


def test_the_checksum_is_the_sum_modulo_256_for_every_length() -> None:
    for length in range(1, 600):
        for byte in (b"y", b"\xff", b"\xfe"):
            body = byte * length
            assert frame(body) == b"$%b#%02x" % (body, sum(body) % 256), length
