"""How much memory this process has."""

import ctypes
import sys
import tracemalloc
from dataclasses import dataclass
from pathlib import Path

_STATUS = Path("/proc/self/status")


@dataclass(frozen=True, slots=True)
class Memory:
    """What it has at one moment."""

    #: Octets that are resident (Linux; elsewhere 0).
    resident: int
    #: Blocks that Python has allocated and not freed.
    blocks: int
    #: Octets that were allocated since `tracemalloc` was started and not freed; None: it was not.
    traced: int | None
    #: Octets in use of what the C library hands out: to OpenSSL, expat, and for what Python wants in large pieces.
    allocated: int
    #: Octets that the C library has, and nobody uses.
    idle: int

    @classmethod
    def now(cls) -> "Memory":
        """Return what it has."""
        traced = tracemalloc.get_traced_memory()[0] if tracemalloc.is_tracing() else None
        return cls(_resident(), sys.getallocatedblocks(), traced, *_handed_out())


def _resident() -> int:
    if not _STATUS.exists():
        return 0
    (line,) = (each for each in _STATUS.read_text().splitlines() if each.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


class _MallocInformation(ctypes.Structure):
    """`struct mallinfo2` of glibc."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    )


def _handed_out() -> tuple[int, int]:
    """Return what is in use and what is idle of all arenas; 0 where the C library is another one than glibc."""
    ask = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if ask is None:
        return 0, 0
    ask.restype = _MallocInformation
    found = ask()
    return found.uordblks + found.hblkhd, found.fordblks
