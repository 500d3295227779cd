"""What the heap remembers of its list, so that it need not walk it: outside guest memory, and made from the list.

The list in guest memory is what counts; this is a mirror of it.  `read_list` makes it anew, `differences` finds where
the two contradict each other: something else than the heap has then written into a header.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator

from hillemu.emu.i386.address import PAGE_SHIFT, PAGE_SIZE, VirtAddr
from hillemu.kernel.mm.structure import Structure
from hillemu.kernel.profiles.bitmap.page_window import PageWindow

HEADER = Structure("block_header", "u32 size", "u8 is_free", "u32 next")
"""The document's `block_header_t`, as C lays it out: three bytes of padding, always 0, follow `is_free`."""
HEADER_BYTES = HEADER.size_bytes
IN_TWO_PAGES = -1

Header = tuple[int, int, int]
"""`size`, `is_free` with its padding, and `next`."""


class Block:
    """One block, and its place in the list; a plain record, because millions are made."""

    __slots__ = ("after", "at", "before", "is_free", "size", "word")

    at: int
    """The address of the header."""
    size: int
    """In bytes, without the header."""
    is_free: int
    """0 or 1."""
    before: Block
    after: Block
    word: int
    """Where the header lies in `PageWindow.u32`; `IN_TWO_PAGES` if it does not lie in one page."""

    @property
    def content(self) -> VirtAddr:
        """The address that `kmalloc` returned."""
        return VirtAddr(self.at + HEADER_BYTES)

    @property
    def header(self) -> Header:
        """What the header in guest memory must be."""
        return self.size, self.is_free, self.after.at

    def __repr__(self) -> str:
        return f"Block(0x{self.at:08X} size={self.size:#x} {'free' if self.is_free else 'used'})"


class BlockIndex:
    """Blocks by the addresses of their headers; they follow each other without gaps, from `base` on.

    The members are open: who allocates in a hurry changes them in place, and never replaces them.
    """

    def __init__(self, window: PageWindow) -> None:
        self._window = window
        self.edge = edge = Block()
        """Before the first and after the last block; its address is 0, what the last block's `next` is."""
        edge.at = edge.size = edge.is_free = edge.word = 0
        edge.before = edge.after = edge
        self.by_address: dict[int, Block] = {}
        self.by_size: list[int] = []
        """Free blocks as ``size << 32 | address``, ascending: by size, then by address."""

    @property
    def last(self) -> Block:
        """The block with the highest address; `edge` if there is none."""
        return self.edge.before

    def insert(self, at: int, size: int, before: Block) -> Block:
        """A new block that is in use, behind `before`."""
        block = Block()
        block.at, block.size, block.is_free = at, size, 0
        block.word = word_of(self._window, at)
        block.before, block.after = before, before.after
        before.after.before = before.after = block
        self.by_address[at] = block
        return block

    def remove(self, block: Block) -> None:
        """Forget a block that is in use."""
        block.before.after, block.after.before = block.after, block.before
        del self.by_address[block.at]

    def set_free(self, block: Block) -> None:
        block.is_free = 1
        insort(self.by_size, block.size << 32 | block.at)

    def set_used(self, block: Block) -> None:
        """The reverse of `set_free`, before the size is changed."""
        block.is_free = 0
        del self.by_size[bisect_left(self.by_size, block.size << 32 | block.at)]

    def blocks(self) -> Iterator[Block]:
        """All blocks, ascending."""
        block = self.edge.after
        while block is not self.edge:
            yield block
            block = block.after

    def block_around(self, at: int) -> Block | None:
        """The block whose header or content has the byte at `at`.  Looks at all blocks."""
        return next((block for block in self.blocks() if block.at <= at < block.content + block.size), None)


def word_of(window: PageWindow, at: int) -> int:
    """`Block.word` of a header at `at`."""
    if at & PAGE_SIZE - 1 > PAGE_SIZE - HEADER_BYTES:
        return IN_TWO_PAGES
    return (at >> 2) + window.delta[at >> PAGE_SHIFT]


def read_list(window: PageWindow, head: int) -> BlockIndex:
    """The index of the list that starts at `head` and has all of the window's run of pages.

    Raises `ValueError` with a sentence if it is no such list.
    """
    index = BlockIndex(window)
    at, end = head, int(window.base)
    while at:
        if at != end:
            raise ValueError(f"a block is at 0x{at:08X}, but the one before it ends at 0x{end:08X}")
        if not window.holds(at, HEADER_BYTES):
            raise ValueError(f"a block is at 0x{at:08X}, behind the last page")
        header = read_header(window, at)
        size, is_free, following = header
        end = at + HEADER_BYTES + size
        if size & 3 or not size or end > window.top or is_free > 1:
            raise ValueError(f"the header at 0x{at:08X} is {describe(header)}")
        block = index.insert(at, size, index.last)
        if is_free:
            index.set_free(block)
        at = following
    if end != window.top:
        raise ValueError(f"the list ends at 0x{end:08X}, but its pages at 0x{window.top:08X}")
    return index


def read_header(window: PageWindow, at: int) -> Header:
    return window.get(at), window.get(at + 4), window.get(at + 8)


def write_header(window: PageWindow, block: Block) -> None:
    """Make the header in guest memory what it must be."""
    for number, word in enumerate(block.header):
        window.set(block.at + 4 * number, word)


def describe(header: Header) -> str:
    """A header for people."""
    return f"size={header[0]:#x} is_free={header[1]:#x} next=0x{header[2]:08X}"


def differences(index: BlockIndex, window: PageWindow) -> list[str]:
    """Where the list in guest memory is not what the index says, and where the index contradicts itself."""
    found = []
    previous, end = index.edge, int(window.base)
    for block in index.blocks():
        at = block.at
        if (header := read_header(window, at)) != block.header:
            found.append(f"heap: the header at 0x{at:08X} is {describe(header)}, not {describe(block.header)}")
        if block.before is not previous or at != end or index.by_address.get(at) is not block:
            found.append(f"heap: the index is wrong about what is around 0x{at:08X}")
        if block.is_free and previous.is_free:
            found.append(f"heap: the free blocks at 0x{previous.at:08X} and 0x{at:08X} are neighbours")
        if block.word != word_of(window, at):
            found.append(f"heap: the index is wrong about where the header at 0x{at:08X} lies")
        previous, end = block, block.content + block.size
    if index.last is not previous or end != window.top:
        found.append(f"heap: the index ends at 0x{end:08X}, the pages at 0x{window.top:08X}")
    free = sorted(block.size << 32 | block.at for block in index.blocks() if block.is_free)
    if index.by_size != free or len(index.by_address) != sum(1 for _ in index.blocks()):
        found.append("heap: the index by size or by address does not have the blocks, and only those")
    return found
