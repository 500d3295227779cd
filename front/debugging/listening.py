"""Where to listen: ``[HOST:]PORT``.

>>> parse_address("1234")
Address(host='127.0.0.1', port=1234)
>>> parse_address("[::1]:1234").host
'::1'
"""

from __future__ import annotations

from typing import NamedTuple

from hillemu.emu.errors import OptionError

LOCALHOST = "127.0.0.1"


class Address(NamedTuple):
    """A host's name or number, and a TCP port; port 0 has the host choose one."""

    host: str
    port: int

    @property
    def is_local(self) -> bool:
        """Whether only programs on this host can reach it."""
        return self.host in ("localhost", "::1") or self.host.startswith("127.")

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str, option: str = "--gdb") -> Address:
    """Raises `OptionError` for what is no address."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (port.isascii() and port.isdecimal() and int(port) <= 0xFFFF):
        raise OptionError(option, f"{text!r} is not [HOST:]PORT; write it like 1234 or 127.0.0.1:1234")
    return Address(host if colon and host else LOCALHOST, int(port))
