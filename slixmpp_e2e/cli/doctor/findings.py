"""What a check has found: good, doubtful, or wrong, and what to do about it."""

from dataclasses import dataclass, field
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    #: It works, or will for a while.
    WARNING = "warning"
    #: The plugin does not start with it, or can't do its work.
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the result."""

    level: Level
    #: What was looked at: an option or a file.
    subject: str
    text: str
    #: What to do about it; empty where all is well.
    advice: str = ""


@dataclass(slots=True)
class Findings:
    """The lines of the result, in the order in which they were found."""

    found: list[Finding] = field(default_factory=list)

    def ok(self, subject: str, text: str) -> None:
        """Note that something is as it should be."""
        self.found.append(Finding(Level.OK, subject, text))

    def warning(self, subject: str, text: str, advice: str) -> None:
        """Note what is doubtful."""
        self.found.append(Finding(Level.WARNING, subject, text, advice))

    def error(self, subject: str, text: str, advice: str) -> None:
        """Note what is wrong."""
        self.found.append(Finding(Level.ERROR, subject, text, advice))

    def count(self, level: Level) -> int:
        """Return how many lines are of a level."""
        return sum(each.level is level for each in self.found)
