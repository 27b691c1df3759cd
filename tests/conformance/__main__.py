"""Write docs/conformance.md from the requirements and the markers of the tests."""

import sys

from tests.conformance.markers import read_markers
from tests.conformance.table import PAGE, load, page, problems


def main() -> int:
    """Write the page; return 1 and write nothing where the requirements and the markers don't agree."""
    sections, tests = load(), read_markers()
    found = problems(sections, tests)
    if found:
        print(*found, sep="\n", file=sys.stderr)
        return 1
    PAGE.write_text(page(sections, tests), encoding="utf-8")
    return 0


sys.exit(main())
