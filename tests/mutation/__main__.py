"""Change the modules that decide, and see whether a test notices: `make mutants`.

    python -m tests.mutation                            every module
    python -m tests.mutation freshness cms/asn1         some
    python -m tests.mutation --survivors                once more what survived, after tests were written
    python -m tests.mutation --write                    only write docs/mutants.md from what is known

Every mutant meets the tests that go through the changed line, the quickest first, until one fails or they have taken
`--seconds` together. What is known is kept in `.mutants`; a function that has not changed since is not done again.
"""

import argparse
import gc
import hashlib
import json
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, Final

import asn1crypto.x509
import cryptography.x509
import hypothesis.strategies
import pytest
import slixmpp

from tests.mutation import coverage, document
from tests.mutation.modules import MODULES, ROOT, path_of
from tests.mutation.operators import Mutant, find_mutants, mutate
from tests.mutation.session import (
    KILLED,
    NOT_REPLACED,
    OPTIONS,
    SURVIVED,
    Session,
    functions_by_file,
    import_changed,
    in_a_child,
    in_a_talking_child,
    judge,
    replace_code,
    warm,
)

KEPT: Final = ROOT / ".mutants"
#: What ends a test that never would.
_TIMES_UP: Final = (signal.SIGALRM, signal.SIGPROF)
#: What every child needs, imported once.
_WARM: Final = (asn1crypto.x509, cryptography.x509, hypothesis.strategies, slixmpp)


class Module:
    """The mutants of one module, and what became of them."""

    def __init__(self, name: str, tests: coverage.Tests, seconds: float, sample: int | None) -> None:
        self.name = name
        self._path = path_of(name)
        self._source = self._path.read_text()
        self._tests = tests
        self._seconds = seconds
        self.mutants = find_mutants(self._source)
        order = sorted(self.mutants, key=lambda each: hashlib.sha256(each.name.encode()).digest())
        self._chosen = frozenset(each.name for each in order[:sample])
        self._kept = KEPT / f"{name.replace('/', '.')}.json"
        known = json.loads(self._kept.read_text()) if self._kept.exists() else {}
        #: By the name of the mutant: `killed`, `survived` or `timeout`; and the digest of what it depends on.
        self.results: dict[str, list[Any]] = {
            each.name: known[each.name]
            for each in self.mutants
            if known.get(each.name, [0, 0])[1] == each.digest
        }

    def to_do(self, *, survivors: bool) -> list[Mutant]:
        """Return what is not known yet; with `survivors` also what survived."""
        return [
            each
            for each in self.mutants
            if (each.name in self._chosen and each.name not in self.results)
            or (survivors and self.results.get(each.name, [""])[0] == "survived")
        ]

    def forget(self, mutants: Iterable[Mutant]) -> None:
        """Forget what became of some mutants, because they are tried once more."""
        for each in mutants:
            self.results.pop(each.name, None)
        self._keep()

    def run_collected(
        self,
        mutants: Sequence[Mutant],
        items: Mapping[str, pytest.Item],
        functions: Mapping[str, Sequence[FunctionType]],
    ) -> None:
        """Try what can be replaced in a module that is there, with tests that were collected."""
        changed = functions[str(self._path)]
        for mutant in mutants:
            tests = [test for test in self._through(mutant) if test in items]

            def run(mutant: Mutant = mutant, tests: Sequence[str] = tests) -> int:
                if not (tests and replace_code(changed, self._compile(mutant))):
                    return NOT_REPLACED  # or only importing goes through it
                return judge(
                    [items[test] for test in tests], [self._tests[test]["seconds"] for test in tests]
                )

            outcome = in_a_child(run)
            if outcome != NOT_REPLACED:
                self._note(mutant, outcome)
        self._keep()

    def run_imported(self, mutants: Sequence[Mutant]) -> None:
        """Try what has to be imported changed, each with tests of its own collection."""
        for mutant in mutants:
            self._note(mutant, in_a_child(lambda: self._run_imported(mutant, self._compile(mutant))))  # noqa: B023
        self._keep()

    def _through(self, mutant: Mutant) -> list[str]:
        """Return the tests that go through its line: its own and the quickest first, for so many seconds."""
        going = [
            test for test, entry in self._tests.items() if mutant.line in entry["lines"].get(self.name, ())
        ]
        return self._first(going)

    def _first(self, tests: Iterable[str]) -> list[str]:
        """Return the quickest of some tests: those for the same part of the package, then as many others."""
        directory, _, name = self.name.rpartition("/")
        part = f"tests/{directory}/" if directory else f"tests/test_{name}"
        found: list[str] = []
        groups: dict[bool, list[str]] = {True: [], False: []}
        for test in sorted(tests, key=lambda each: self._tests[each]["seconds"]):
            groups[test.startswith(part)].append(test)
        left = 0.0
        for group in groups.values():
            left = max(left, 0.0) + self._seconds / 2
            for test in group:
                left -= self._tests[test]["seconds"]
                if left < 0 and found:
                    break
                found.append(test)
        return found

    def check_imported(self, mutant: Mutant) -> None:
        """Raise `RuntimeError` unless the tests for a mutant pass without it, imported in the same way."""
        unchanged = compile(self._source, str(self._path), "exec", dont_inherit=True)
        if in_a_child(lambda: self._run_imported(mutant, unchanged)) != SURVIVED:
            raise RuntimeError("the tests fail without any change")

    def _run_imported(self, mutant: Mutant, code: CodeType) -> int:
        import_changed(self._path, code)
        tests = self._through(mutant) if mutant.inside else []
        own = f"test_{self.name.rpartition('/')[2]}.py::"  # may look at what is made when it is imported, and no more
        tests = tests or self._first(
            test for test, entry in self._tests.items() if self.name in entry["lines"] or own in test
        )
        outcome = KILLED  # also where nothing can be imported any more

        def use(items: list[pytest.Item]) -> None:
            nonlocal outcome
            by_name = {item.nodeid: item for item in items}
            chosen = [by_name[test] for test in tests if test in by_name]
            outcome = judge(chosen, [self._tests[item.nodeid]["seconds"] for item in chosen])

        names = sorted({test.partition("::")[0] for test in tests})
        pytest.main([*OPTIONS, *names], plugins=[Session(use)])
        return outcome

    def _compile(self, mutant: Mutant) -> CodeType:
        return compile(mutate(self._source, mutant), str(self._path), "exec", dont_inherit=True)

    def _note(self, mutant: Mutant, code: int) -> None:
        outcome = "survived" if code == SURVIVED else "timeout" if -code in _TIMES_UP else "killed"
        self.results[mutant.name] = [outcome, mutant.digest]
        if outcome == "survived":
            print(f"  {self.name}:{mutant.line} {mutant.name}", flush=True)
        if len(self.results) % 20 == 0:
            self._keep()

    def _keep(self) -> None:
        self._kept.write_text(json.dumps(self.results, indent=0))

    def read_again(self) -> None:
        """Read what a child has found."""
        if self._kept.exists():
            self.results.update(json.loads(self._kept.read_text()))

    def row(self) -> document.Row:
        """Return how many were killed, survived, or never ended, and those that survived."""
        outcomes = [self.results[each.name][0] for each in self.mutants if each.name in self.results]
        survived = [each for each in self.mutants if self.results.get(each.name, [""])[0] == "survived"]
        return document.Row(
            self.name,
            len(self.mutants),
            len(outcomes),
            outcomes.count("killed"),
            outcomes.count("timeout"),
            survived,
        )


def run(modules: Sequence[Module], tests: coverage.Tests, *, survivors: bool) -> None:
    """Try the mutants of some modules: those in functions in one session of tests, then the others."""
    to_do = {each.name: each.to_do(survivors=survivors) for each in modules}
    for module in modules:
        module.forget(to_do[module.name])

    def use(items: list[pytest.Item]) -> None:
        warm(items)
        by_name = {item.nodeid: item for item in items}
        usual = sorted(tests, key=lambda each: tests[each]["seconds"])[:200]
        if in_a_child(lambda: judge([by_name[test] for test in usual], [1.0] * len(usual))) != SURVIVED:
            raise RuntimeError("the tests fail without any change")
        functions = functions_by_file()
        gc.freeze()  # so that a child shares memory with its parent for longer
        for module in modules:
            module.run_collected([each for each in to_do[module.name] if each.inside], by_name, functions)
            print(document.line(module.row()), flush=True)

    def collected() -> None:
        names = sorted({test.partition("::")[0] for test in tests})
        if pytest.main([*OPTIONS, coverage.PREPARATION, *names], plugins=[Session(use)]):
            raise RuntimeError("the tests can't be collected")

    if any(each.inside for mutants in to_do.values() for each in mutants):
        in_a_talking_child(collected)
    is_checked = False
    for module in modules:
        module.read_again()
        left = [each for each in to_do[module.name] if each.name not in module.results]
        if left and not is_checked:
            module.check_imported(left[0])
            is_checked = True
        module.run_imported(left)
        print(document.line(module.row()), flush=True)


def main() -> int:
    """Run what was asked for, and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"one of {', '.join(MODULES)}")
    parser.add_argument("--survivors", action="store_true", help="try once more what survived")
    parser.add_argument("--seconds", type=float, default=15.0, help="what the tests for one mutant may take")
    parser.add_argument("--sample", type=int, help="so many mutants of each module, always the same ones")
    parser.add_argument("--write", action="store_true", help="only write docs/mutants.md")
    options = parser.parse_args()
    if unknown := set(options.modules) - set(MODULES):
        parser.error(f"not among the modules: {', '.join(sorted(unknown))}")
    KEPT.mkdir(exist_ok=True)
    tests = {} if options.write else coverage.measure(KEPT / "tests.json")
    if not (tests or options.write):
        raise RuntimeError("there are no tests")
    print(f"{len(tests)} tests", flush=True)
    modules = [Module(name, tests, options.seconds, options.sample) for name in MODULES]
    if not options.write:
        asked = [each for each in modules if not options.modules or each.name in options.modules]
        run(asked, tests, survivors=options.survivors)
    for module in modules:
        for name in document.read_reasons().get(module.name, {}).keys() - {
            each.name for each in module.mutants
        }:
            print(f"a reason for a mutant that there is not any more: {module.name}: {name}")
    rows = [each.row() for each in modules]
    Path(ROOT / "docs" / "mutants.md").write_text(document.write(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
