"""How much memory this process has."""

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

    @classmethod
    def now(cls) -> "Memory":
        """Return what it has."""
        traced = tracemalloc.get_traced_memory()[0] if tracemalloc.is_tracing() else None
        return cls(_resident(), sys.getallocatedblocks(), traced)


def _resident() -> int:
    if not _STATUS.exists():
        return 0
    (line,) = (each for each in _STATUS.read_text().splitlines() if each.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024
