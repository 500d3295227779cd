"""The smallest frame allocator that a user of ``--kernel-module`` would write."""

STACK = """
from hillemu.kernel.mm.frames import OutOfMemory


class Stack:
    '''The frame that was freed last is handed out next; single frames only.'''

    def __init__(self, zone):
        self.stack = [frame for run in zone.runs() for frame in run.frames()]

    @property
    def free_frames(self):
        return len(self.stack)

    def alloc(self, order=0):
        if order > 0 or not self.stack:
            return OutOfMemory(order, len(self.stack))
        return self.stack.pop()

    def free(self, frame, order=0):
        self.stack.append(frame)


frame_allocator = Stack
"""
