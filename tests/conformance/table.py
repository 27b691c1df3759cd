"""The requirements, what becomes of them, and the page that says so.

`requirements.toml` has one line for each requirement. Who adds a test that shows one puts a marker on the test
and takes `status` and `reason` out of the line (`partial` may stay beside tests), then runs
`python -m tests.conformance`.
"""

import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

REQUIREMENTS: Final = Path(__file__).parent / "requirements.toml"
PAGE: Final = Path(__file__).parent.parent.parent / "docs" / "conformance.md"

#: "req" levels are the lower-case words of a text that has no others.
LEVELS: Final = frozenset(
    {
        "req must",
        "req must not",
        "req should",
        "MUST",
        "MUST NOT",
        "SHOULD",
        "SHOULD NOT",
        "RECOMMENDED",
        "MAY",
        "OPTIONAL",
        "decl",
        "impl",
    }
    | {"impl must", "impl must not", "impl should", "impl may"}
)
ACTORS: Final = frozenset({"sender", "receiver", "both", "gateway", "app", "initiator", "responder"})
TESTED: Final = "tested"
PARTIAL: Final = "partial"
#: What a line may say of a requirement, and what it means.
STATUSES: Final = {
    PARTIAL: "holds in part; the last column says what is missing",
    "not done": "the code does not do it, or no test shows it yet",
    "does not bind": "it is for a role that this package does not have, or a permission that it does not use",
    "open": "no format for objects can meet it: it takes a session (XTLS)",
    "met by": "something else sees to it: a library, a design decision, the documentation",
}
_WORDS: Final = (TESTED, *STATUSES)
#: The formats that a line may name as meeting a requirement, and what they are called on the page.
FORMATS: Final = {
    "rfc3923": "RFC 3923",
    "objenc-signed": "draft-miller-3923bis-02 with a signature inside",
    "objenc": "draft-miller-3923bis-02 alone",
}


@dataclass(frozen=True, slots=True)
class Requirement:
    """One line of a section."""

    identifier: str
    level: str
    actor: str
    where: str
    text: str
    status: str | None = None
    reason: str | None = None
    #: Which of our formats meet it, where a text leaves that open; None: nobody asked.
    formats: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """The requirements of one text."""

    title: str
    requirements: tuple[Requirement, ...]


def load(source: str | None = None) -> tuple[Section, ...]:
    """Read the requirements: from the file, unless a source is given."""
    data = tomllib.loads(REQUIREMENTS.read_text(encoding="utf-8") if source is None else source)
    return tuple(
        Section(
            section["title"],
            tuple(_requirement(key, fields) for key, fields in section["requirements"].items()),
        )
        for section in data.values()
    )


def _requirement(key: str, fields: dict[str, Any]) -> Requirement:
    formats = fields.pop("formats", None)
    return Requirement(key, **fields, formats=None if formats is None else tuple(formats))


def problems(sections: Sequence[Section], tests: Mapping[str, frozenset[str]]) -> list[str]:
    """Return what is wrong with the requirements and the markers, a sentence each; nothing if all is well."""
    everything = [each for section in sections for each in section.requirements]
    times = Counter(each.identifier for each in everything)
    found = [f"{identifier} stands there twice" for identifier, count in times.items() if count > 1]
    for identifier in sorted(tests.keys() - times.keys()):
        found.append(f"{', '.join(sorted(tests[identifier]))}: there is no requirement {identifier}")
    for each in everything:
        found += (f"{each.identifier}: {problem}" for problem in _problems_of(each, each.identifier in tests))
    return found


def _problems_of(requirement: Requirement, tested: bool) -> list[str]:
    found = []
    status, reason = requirement.status, requirement.reason
    if requirement.level not in LEVELS or requirement.actor not in ACTORS:
        found.append("an unknown level or actor")
    if not requirement.text or not requirement.where:
        found.append("a text or a section is missing")
    if (status is None) != (not reason):
        found.append("a status and its reason stand together")
    if status is not None and status not in STATUSES:
        found.append(f"{status!r} is no status")
    if status is None and not tested:
        found.append("neither a test nor a reason")
    if requirement.formats is not None:
        found += _problems_of_formats(requirement.formats, met=status in {None, PARTIAL, "met by"})
    if tested and status not in {None, PARTIAL}:
        found.append(f"a test shows it, and yet it is called {status!r}")
    return found


def _problems_of_formats(formats: tuple[str, ...], *, met: bool) -> list[str]:
    found = [f"{each!r} is no format" for each in formats if each not in FORMATS]
    if met != bool(formats):
        found.append("some format meets what is met, and none what is not")
    return found


# --------------------------------------------------------------------------- the page

_HEAD = """\
# Conformance

Line by line, what becomes of the requirements of the texts that this package implements. The wording is ours and
short; the texts themselves count. This page is written by `python -m tests.conformance` from
`tests/conformance/requirements.toml` and from the tests, and a test fails when it is not up to date.

- **tested**: a test fails when it is broken. `media/cpim::x` is the test `test_x` in `tests/media/test_cpim.py`.
"""


def page(sections: Sequence[Section], tests: Mapping[str, frozenset[str]]) -> str:
    """Return the whole page."""
    lines = [_HEAD + "\n".join(f"- **{word}**: {meaning}." for word, meaning in STATUSES.items()), ""]
    lines += _summary(sections, tests)
    for section in sections:
        lines += [
            f"## {section.title}",
            "",
            _row("ID", "level", "who", "section", "requirement", "status", "tests, or why not"),
        ]
        lines += [_row(*["---"] * 7), *(_line(each, tests) for each in section.requirements), ""]
    return "\n".join(lines)


def word_of(requirement: Requirement, tests: Mapping[str, frozenset[str]]) -> str:
    """Return what becomes of a requirement, in a word."""
    return requirement.status or (TESTED if requirement.identifier in tests else "not done")


def _summary(sections: Sequence[Section], tests: Mapping[str, frozenset[str]]) -> list[str]:
    total: Counter[str] = Counter()
    lines = [_row("text", *_WORDS, "all"), _row("---", *["---:"] * (len(_WORDS) + 1))]
    for section in sections:
        counted = Counter(word_of(each, tests) for each in section.requirements)
        total += counted
        lines.append(_row(section.title, *_numbers(counted)))
    return [*lines, _row("**all**", *_numbers(total)), ""]


def _numbers(counted: Counter[str]) -> list[str]:
    return [str(counted[word]) for word in _WORDS] + [str(counted.total())]


def _line(requirement: Requirement, tests: Mapping[str, frozenset[str]]) -> str:
    shown = [f"`{test}`" for test in sorted(tests.get(requirement.identifier, ()))]
    said = [requirement.reason] if requirement.reason else []
    if requirement.formats is not None:
        said.insert(0, f"**{_names(requirement.formats)}**")
    return _row(
        requirement.identifier,
        requirement.level,
        requirement.actor,
        requirement.where,
        requirement.text,
        word_of(requirement, tests),
        "<br>".join((*said, *shown)),
    )


def _names(formats: tuple[str, ...]) -> str:
    if set(formats) == FORMATS.keys():
        return "every format"
    return "; ".join(FORMATS[each] for each in formats) or "no format"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
