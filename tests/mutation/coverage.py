"""Which tests go through which lines of the mutated modules, and how long each takes: measured once, then kept."""

import json
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from tests.mutation.modules import MODULES, PACKAGE, ROOT, digest_of, files_of_tests, path_of
from tests.mutation.session import OPTIONS, Session, in_a_talking_child, skips, timed, traced, warm

#: A test that takes longer than this judges nothing: seconds, with the measurement of lines.
_LONGEST: Final = 6.0
PREPARATION: Final = "tests/mutation/test_preparation.py"

#: By test: seconds, and by module the lines.
Tests = dict[str, dict[str, Any]]


def measure(kept: Path) -> Tests:
    """Return the tests; those of files that are as they were when they were measured are not run again."""
    known = json.loads(kept.read_text()) if kept.exists() else {}
    package = digest_of(*map(path_of, MODULES))
    found: dict[str, dict[str, Any]] = {}
    missing: list[Path] = []
    for path in files_of_tests():
        name, digest = str(path.relative_to(ROOT)), f"{package} {digest_of(path)}"
        if known.get(name, {}).get("digest") == digest:
            found[name] = known[name]
        else:
            found[name] = {"digest": digest, "tests": {}}
            missing.append(path)
    if missing:
        part = kept.with_suffix(".part")
        in_a_talking_child(lambda: _run(missing, part))
        for test, entry in json.loads(part.read_text()).items():
            found[test.partition("::")[0]]["tests"][test] = entry
        part.unlink()
        kept.write_text(json.dumps(found))
    return {test: entry for each in found.values() for test, entry in each["tests"].items()}


def _run(files: list[Path], into: Path) -> None:
    found: Tests = {}
    modules = {str(path_of(module)): module for module in MODULES}

    def use(items: list[pytest.Item]) -> None:
        warm(items)
        for item, following in zip(items[1:], [*items[2:], items[0]], strict=True):
            with traced(frozenset(modules)) as lines:
                skipped, seconds = timed(lambda: skips(item, following))  # noqa: B023
            if skipped is False and seconds < _LONGEST:
                by_module = {modules[name]: sorted(numbers) for name, numbers in lines.items()}
                found[item.nodeid] = {"seconds": round(seconds, 4), "lines": by_module}

    names = [PREPARATION, *(str(path.relative_to(ROOT)) for path in files)]
    if pytest.main([*OPTIONS, *names], plugins=[Session(use)]):
        raise RuntimeError("the tests can't be collected")
    assert str(PACKAGE) in sys.modules["slixmpp_e2e"].__file__
    into.write_text(json.dumps(found))
