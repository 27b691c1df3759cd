"""What is changed: the mutants of a module.

A comparison is turned round or moves by one, a condition is negated, an operand of `and` / `or` is left out, the
other of the two stands there, `not` disappears, a number grows by one, a bit operation or a calculation becomes
another one, True becomes False; `raise`, `return`, `continue`, `break`, calls whose value nobody takes and
calculations in place are taken out.

**Not** changed: what stands in an error's text, annotations, `assert` (they document what the type checker can't
know), docstrings and other texts, the options of `dataclass`.
"""

import ast
import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

_COMPARISONS: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
#: Those for which the other one is the negation.
_OPPOSITE: Final = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot, ast.In, ast.NotIn)
_CALCULATIONS: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_SHOWN: Final = 90

Place = tuple[tuple[str, int | None], ...]


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of a module."""

    #: The function it is in, and what is changed into what: stays the same when lines move.
    name: str
    line: int
    #: Where the node stands in the tree, and which of its changes it is.
    place: Place
    choice: int
    #: Of what it depends on: the text of the function, or of the statement outside of any.
    digest: str
    #: In the body of a function, so that its code can be replaced where it is.
    inside: bool


def find_mutants(source: str) -> list[Mutant]:
    """Return the mutants of a module, in the order of its text."""
    found: list[Mutant] = []
    names: Counter[str] = Counter()
    digests: dict[ast.stmt, str] = {}
    tree = ast.parse(source)
    ends = {each.body[-1] for each in ast.walk(tree) if isinstance(each, ast.FunctionDef)}
    for place, node, scope, whole, inside in _walk(tree):
        if node in ends and isinstance(node, ast.Return) and ast.unparse(node) in {"return", "return None"}:
            continue  # so it ends anyway
        if whole not in digests:
            text = ast.get_source_segment(source, whole) or ""
            digests[whole] = hashlib.sha256(text.encode()).hexdigest()[:16]
        for choice, (text, _) in enumerate(_changes(node)):
            name = f"{scope}: {text}"
            names[name] += 1
            if names[name] > 1:
                name = f"{name} #{names[name]}"
            found.append(Mutant(name, node.lineno, place, choice, digests[whole], inside))
    return found


def mutate(source: str, mutant: Mutant) -> ast.Module:
    """Return the tree of a module with one change in it; every line stays where it is."""
    tree = ast.parse(source)
    *way, (field, index) = mutant.place
    parent: Any = tree
    for name, at in way:
        parent = getattr(parent, name) if at is None else getattr(parent, name)[at]
    node = getattr(parent, field) if index is None else getattr(parent, field)[index]
    replacement = ast.copy_location(_changes(node)[mutant.choice][1], node)
    if index is None:
        setattr(parent, field, replacement)
    else:
        getattr(parent, field)[index] = replacement
    return ast.fix_missing_locations(tree)


def _walk(tree: ast.Module) -> Iterator[tuple[Place, Any, str, ast.stmt, bool]]:
    """Yield every node that may be changed, with its place, scope, outermost function or statement."""
    stack: list[tuple[Place, Any, str, Any, bool]] = [((), tree, "", None, False)]
    while stack:
        place, node, scope, whole, inside = stack.pop()
        if whole is not None:
            yield place, node, scope or "module", whole, inside
        below = []
        for field, at, child in _children(node):
            named, unit, deeper = scope, whole, inside
            if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                named = f"{scope}.{child.name}" if scope else child.name
            if whole is None and isinstance(child, ast.stmt) and not isinstance(child, ast.ClassDef):
                unit = child
            deeper = inside or (isinstance(node, _FUNCTIONS) and field == "body")
            below.append(((*place, (field, at)), child, named, unit, deeper))
        stack += reversed(below)


def _children(node: ast.AST) -> Iterator[tuple[str, int | None, ast.AST]]:
    for field, value in ast.iter_fields(node):
        if field in {"annotation", "returns", "decorator_list", "bases", "exc", "type_comment"}:
            if field != "decorator_list":
                continue
            value = [each for each in value if "dataclass" not in ast.unparse(each)]  # noqa: PLW2901
        for at, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(child, ast.AST) and not isinstance(child, ast.Assert | ast.JoinedStr):
                yield field, at, child


def _changes(node: Any) -> list[tuple[str, Any]]:
    """Return what a node can become, each with a text that says so."""
    found: list[tuple[str, Any]] = []

    def add(new: ast.AST) -> None:
        found.append((f"{_text(node)} -> {_text(new)}", new))

    match node:
        case ast.Compare():
            for at, op in enumerate(node.ops):
                ops = [*node.ops[:at], _COMPARISONS[type(op)](), *node.ops[at + 1 :]]
                add(ast.Compare(node.left, ops, node.comparators))
        case ast.BoolOp():
            for at in range(len(node.values)):
                rest = [*node.values[:at], *node.values[at + 1 :]]
                add(rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest))
            add(ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values))
        case ast.UnaryOp(op=ast.Not()):
            add(node.operand)
        case ast.BinOp(left, op, right) if type(op) in _CALCULATIONS and (
            not isinstance(op, ast.Add) or _is_number(left) or _is_number(right)
        ):
            add(ast.BinOp(left, _CALCULATIONS[type(op)](), right))
        case ast.Constant(value=bool() | int() as value):
            add(ast.Constant(not value if isinstance(value, bool) else value + 1))
        case ast.If() | ast.While() if _can_negate(node.test):
            negated = ast.UnaryOp(ast.Not(), node.test)
            new = type(node)(negated, node.body, node.orelse)
            found.append((f"if {_text(node.test)} -> if not", new))
        case ast.IfExp() if _can_negate(node.test):
            add(ast.IfExp(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse))
        case ast.Raise() | ast.Return() | ast.Continue() | ast.Break() | ast.AugAssign():
            found.append((f"{_text(node)} removed", ast.Pass()))
        case ast.Expr(value=ast.Call() | ast.Await()):
            found.append((f"{_text(node)} removed", ast.Pass()))
    return found


def _can_negate(test: ast.expr) -> bool:
    """Tell whether the negation is not already a change of the condition itself."""
    if isinstance(test, ast.Compare):
        return len(test.ops) > 1 or not isinstance(test.ops[0], _OPPOSITE)
    return not (isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not))


def _is_number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int)


def _text(node: ast.AST) -> str:
    written = " ".join(ast.unparse(ast.fix_missing_locations(node)).split())
    return written if len(written) <= _SHOWN else written[: _SHOWN - 1] + "…"
