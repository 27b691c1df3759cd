"""Reads which test says that it shows which requirement: `@pytest.mark.requirement("3923-6.9-2", ...)`.

The markers are read from the sources of the tests, not collected by running pytest: so the result does not
depend on what is installed, which tests are skipped here, or how many cases a test has. A marker stands on a
test function or on a test class, where it counts for every test in it. `test_conformance.py` compares with
what pytest sees.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).parent.parent
_NAME: Final = "requirement"


class MarkerError(Exception):
    """A marker that can't be read, or that stands on no test."""


def read_markers(directory: Path = TESTS) -> dict[str, frozenset[str]]:
    """Return the tests that carry each ID; a test is called `media/cpim::nothing_else_is_escaped`.

    Raises `MarkerError` for a marker that stands on something else than a test, and for arguments that are
    not strings.
    """
    found: dict[str, set[str]] = {}
    for path in sorted(directory.rglob("test_*.py")):
        for test, identifiers in read_source(path.read_text(encoding="utf-8"), str(path)):
            for identifier in identifiers:
                found.setdefault(identifier, set()).add(name_of(path.relative_to(directory), test))
    return {identifier: frozenset(tests) for identifier, tests in found.items()}


def name_of(path: Path, function: str) -> str:
    """Return how a test is called in the table."""
    module = path.with_name(path.stem.removeprefix("test_")).as_posix()
    return f"{module}::{function.removeprefix('test_')}"


def read_source(source: str, name: str = "the source") -> Iterator[tuple[str, frozenset[str]]]:
    """Yield the test functions of a module that carry markers, each with its IDs."""
    tree = ast.parse(source)
    read = 0
    for node, inherited in _tests(tree.body, ()):
        markers = [*inherited, *_markers(node.decorator_list)]
        read += len(_markers(node.decorator_list))
        if markers:
            yield node.name, frozenset(_identifier(each, name) for call in markers for each in call.args)
    read += sum(len(_markers(node.decorator_list)) for node in _test_classes(tree.body))
    if read != sum(_is_marker(node) for node in ast.walk(tree)):
        raise MarkerError(f"{name}: a requirement marker that stands on no test")


def _test_classes(body: list[ast.stmt]) -> Iterator[ast.ClassDef]:
    for node in body:
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            yield node
            yield from _test_classes(node.body)


def _tests(
    body: list[ast.stmt], inherited: tuple[ast.Call, ...]
) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, tuple[ast.Call, ...]]]:
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test"):
            yield node, inherited
        elif isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            yield from _tests(node.body, (*inherited, *_markers(node.decorator_list)))


def _markers(decorators: list[ast.expr]) -> list[ast.Call]:
    return [each for each in decorators if isinstance(each, ast.Call) and _is_marker(each.func)]


def _is_marker(node: ast.AST) -> bool:
    """Tell whether a node is `pytest.mark.requirement`."""
    return isinstance(node, ast.Attribute) and node.attr == _NAME and ast.unparse(node.value) == "pytest.mark"


def _identifier(argument: ast.expr, name: str) -> str:
    if not isinstance(argument, ast.Constant) or not isinstance(argument.value, str):
        raise MarkerError(f"{name}:{argument.lineno}: a requirement is named by a string")
    return argument.value
