"""Breakpoints by address or symbol."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hillemu.emu.cpu.core import Processor


class Breakpoints:
    """The set of linear addresses at which a run stops, before the instruction there is executed.

    They are the host's: guest memory is not changed, the debug registers stay the guest's, and the run goes on as if
    it had not stopped.
    """

    def __init__(self, processor: Processor, address_of: Callable[[str], int]) -> None:
        self._processor = processor
        self._address_of = address_of
        self._addresses: set[int] = set()

    def add(self, at: int | str) -> int:
        """Stop at address or symbol `at`; return the address.  Raises `UnknownSymbol`."""
        address = self._resolve(at)
        if address not in self._addresses:
            self._processor.add_breakpoint(address)
            self._addresses.add(address)
        return address

    def remove(self, at: int | str) -> None:
        """Take back `add`; raises `KeyError` if there is no breakpoint."""
        address = self._resolve(at)
        self._addresses.remove(address)
        self._processor.remove_breakpoint(address)

    def _resolve(self, at: int | str) -> int:
        return (self._address_of(at) if isinstance(at, str) else at) & 0xFFFFFFFF

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self._addresses))

    def __len__(self) -> int:
        return len(self._addresses)

    def __contains__(self, at: object) -> bool:
        return isinstance(at, int | str) and self._resolve(at) in self._addresses
