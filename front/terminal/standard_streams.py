"""Standard output and standard error as they may be found: closed, full, or of an encoding that lacks characters."""

from __future__ import annotations

import codecs
import errno
import os
import sys

_SUBSTITUTE = "hillemu.substitute"
_OUTPUT_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def prepare_streams() -> None:
    """Have both streams take whatever text is printed.

    One that the caller has closed (``>&-``), which Python makes None, leads to nowhere: `print` would write to standard
    output what is for standard error.  A character that the encoding lacks is a question mark; the bytes of a file's
    name that are no text go out as they are.
    """
    codecs.register_error(_SUBSTITUTE, _substitute)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_SUBSTITUTE)


def output_fault(error: Exception) -> str | None:
    """Why standard output cannot be written, if that is what `error` says: of a file it would have the name."""
    if isinstance(error, OSError) and error.errno in _OUTPUT_FAULTS and error.filename is None:
        return error.strerror
    return None


def drop_output() -> None:
    """Let what is still in standard output's buffer vanish: Python would complain once more when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _substitute(error: UnicodeError) -> tuple[bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return b"".join(os.fsencode(one) if "\udc80" <= one <= "\udcff" else b"?" for one in lacking), error.end
