"""Error numbers as system calls return them: negative, by Linux's names and values.

>>> Errno.ENOMEM == -12, repr(Errno.ENOMEM)
(True, '<Errno.ENOMEM: -12>')

Source: Linux, include/uapi/asm-generic/errno-base.h and errno.h.
"""

from __future__ import annotations

from enum import IntEnum


class Errno(IntEnum):
    """What a system call returns instead of a result."""

    EPERM = -1
    ENOENT = -2
    ESRCH = -3
    EINTR = -4
    E2BIG = -7
    ENOEXEC = -8
    EBADF = -9
    ECHILD = -10
    EAGAIN = -11
    ENOMEM = -12
    EACCES = -13
    EFAULT = -14
    EEXIST = -17
    EINVAL = -22
    EMFILE = -24
    ENAMETOOLONG = -36
    ENOSYS = -38
    EOVERFLOW = -75
