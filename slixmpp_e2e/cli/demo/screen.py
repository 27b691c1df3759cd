"""Lines onto the terminal: coloured with `rich` where it is installed and the terminal allows, else plain."""

import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Final

from slixmpp_e2e.cli.demo.acts import Act, Finale
from slixmpp_e2e.cli.demo.layout import Line, epilogue, prologue, scene

Write = Callable[[Line], None]

#: For terminals that know nothing but ASCII.
_SPELT: Final = str.maketrans({"→": "->", "…": "...", "✓": "+", "✗": "x", "—": "-"})


class Screen:
    """Shows each act when it has ended."""

    def __init__(self, write: Write | None = None) -> None:
        self._write = write or writer()
        self._numbers = count(1)

    def open(self, server: str) -> None:
        """Say who is there."""
        self._lines(prologue(server))

    def show(self, act: Act) -> None:
        """Show an exchange or an attack; the finale belongs to the end."""
        if not isinstance(act, Finale):
            self._lines(scene(next(self._numbers), act))

    def close(self, acts: Sequence[Act], *, seconds: float) -> None:
        """Say how it ended."""
        self._lines(epilogue(acts, seconds=seconds))

    def _lines(self, lines: Iterable[Line]) -> None:
        for line in lines:
            self._write(line)


def writer() -> Write:
    """Return what writes a line to standard output.

    With `rich` (the extra `demo`) in colours, if it is a terminal and `NO_COLOR` is not set; without it plain.
    """
    try:
        from rich.console import Console  # noqa: PLC0415 optional
        from rich.text import Text  # noqa: PLC0415
    except ImportError:
        return lambda line: print("".join(text for text, _ in _writable(line)))
    console = Console(highlight=False)
    return lambda line: console.print(Text.assemble(*_writable(line)), soft_wrap=True)


def _writable(line: Line) -> Line:
    """Spell the signs that standard output can't write; `main()` has seen to it that the rest is escaped."""
    try:
        "→…✓✗—".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return tuple((text.translate(_SPELT), style) for text, style in line)
    return line
