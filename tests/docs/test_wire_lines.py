"""What docs/explanation/wire.md says of noisy lines is what the guard does, byte for byte."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

from sig.constants import Limits
from sig.protocol import flight, packets
from sig.protocol.frames import PREFACE
from sig.protocol.guard import GuardLayer

from .pages import ROOT, blocks, rows, section

WIRE = "explanation/wire.md"
TITLE = "On a line with noise"


def test_how_a_session_begins() -> None:
    """The two ends of the page, with the names that they have there."""
    calling = GuardLayer(0x11223344, 0.0)
    waiting = GuardLayer(0x55667788, 0.0, active=False)
    told = [calling.data_to_send()]
    waiting.receive(told[-1], 0.0)
    told.append(waiting.data_to_send())
    calling.receive(told[-1], 0.0)
    calling.send(PREFACE, 0.0)
    told.append(calling.data_to_send())
    waiting.receive(told[-1], 0.0)
    told.append(waiting.data_to_send())
    (shown,) = (block for block in blocks(WIRE, "text") if "SYN" in block)
    assert [bytes.fromhex(line.partition("      ")[0]) for line in shown.splitlines()] == told


def test_the_kinds_of_packets() -> None:
    told = {cells[1]: int(cells[0]) for cells in rows(section(WIRE, TITLE)) if cells[0].isdigit()}
    assert told == {name: getattr(packets, name) for name in ("SYN", "DATA", "ACK", "FIN", "RST")}


def test_the_numbers_that_are_told() -> None:
    text = section(WIRE, TITLE)
    assert f"`{zlib.crc32(b'123456789'):08x}`" in text
    assert f"ours: {flight.WINDOW} and {flight.Flight(1e6, 1.0).size}" in text
    assert f"shorter than {packets.FRAMING_BYTES} bytes" in text
    assert re.search(rf"for {Limits().write_stall_s:g} s\s+\(`write_stall_s`\)", text)
    assert Path(ROOT / "examples/serial_board.py").exists()
