"""Tables, as plain text and as Markdown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.benchmarks.clock import Contestant, Timing


@dataclass(frozen=True, slots=True)
class Table:
    """A title, the names of the columns, rows of as many cells, and what has to be known to read them."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def as_text(self) -> str:
        """Return the table for a terminal: the first column to the left, numbers to the right."""
        widths = [max(len(row[at]) for row in (self.columns, *self.rows)) for at in range(len(self.columns))]

        def line(row: Sequence[str]) -> str:
            cells = [
                cell.rjust(width) if at else cell.ljust(width)
                for at, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            return "  " + "  ".join(cells).rstrip()

        return "\n".join(
            (
                self.title,
                line(self.columns),
                line(["-" * width for width in widths]),
                *map(line, self.rows),
                *(f"  {note}" for note in self.notes),
                "",
            )
        )

    def as_markdown(self) -> str:
        """Return the table for a document."""
        separator = "|---" + "|--:" * (len(self.columns) - 1) + "|"
        rows = (f"| {' | '.join(row)} |" for row in self.rows)
        notes = (note for each in self.notes for note in ("", each))
        return "\n".join(
            (f"### {self.title}", "", f"| {' | '.join(self.columns)} |", separator, *rows, *notes, "")
        )


def timing_table(
    title: str, contestants: Sequence[Contestant], timings: Mapping[str, Timing], *notes: str
) -> Table:
    """Return the table of one `measure`; a target that is missed is marked."""
    rows = tuple(_timing_row(each, timings[each.name]) for each in contestants)
    return Table(title, ("", "µs", "±", "× floor", "target", "per second"), rows, notes)


def _timing_row(contestant: Contestant, timing: Timing) -> tuple[str, ...]:
    target = ""
    if contestant.target is not None and timing.ratio is not None:
        target = f"{contestant.target:.2f}" + (" missed" if timing.ratio > contestant.target else "")
    return (
        contestant.name,
        f"{timing.median:.1f}",
        f"{timing.spread / 2:.1f}",
        "1" if timing.ratio is None else f"{timing.ratio:.2f}",
        target,
        f"{1e6 / timing.median:,.0f}",
    )
