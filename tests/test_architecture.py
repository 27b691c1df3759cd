"""The house: imports only go down, the lower floors know no stream, clock or file, and no file is long."""

import ast
import importlib
import inspect
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import slixmpp_e2e

PACKAGE = Path(slixmpp_e2e.__file__).parent
ROOT = PACKAGE.parent

#: ARCHITECTURE.md, "Four floors; imports only go down".
FLOORS = (
    {"errors", "namespaces", "report", "tables", "waiting"},
    {"cms", "media", "stanza", "outer", "freshness"},
    {
        *(
            "certificates",
            "policy",
            "options",
            "protection",
            "arriving",
            "signers",
            "leaving",
            "reporting",
            "formats",
        ),
        *("endpoint", "gateway"),
    },
    {"plugin", "stores", "cli", "xtls", "__init__", "__main__"},
)
FLOOR_OF = {name: number for number, names in enumerate(FLOORS) for name in names}

#: All that the lower floors may take from slixmpp: the JID type.
FROM_SLIXMPP = {("slixmpp", "JID"), ("slixmpp.jid", "JID"), ("slixmpp.jid", "InvalidJID")}
#: What does I/O, reads a clock, or has a state of its own.
OUTSIDE = {
    "time",
    "socket",
    "sqlite3",
    "pathlib",
    "logging",
    "asyncio",
    "threading",
    "subprocess",
    "tempfile",
    "shutil",
}
#: Methods that read a clock.
CLOCKS = {"now", "utcnow", "today", "time", "time_ns", "monotonic"}

MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def floor_of(path: Path) -> int:
    return FLOOR_OF[path.relative_to(PACKAGE).with_suffix("").parts[0]]


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """Yield module and name of every import, those inside functions and behind TYPE_CHECKING as well."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                inside = path.parent.relative_to(ROOT).parts
                module = ".".join((*inside[: len(inside) - node.level + 1], *filter(None, [module])))
            yield from ((module, alias.name) for alias in node.names)


def parts_of_ours(module: str, name: str) -> str | None:
    """Return the part of the house that an import leads to, or None for somebody else's."""
    package, _, rest = module.partition(".")
    if package != "slixmpp_e2e":
        return None
    return rest.partition(".")[0] or (name if name in FLOOR_OF else "__init__")


lower = pytest.mark.parametrize("path", [each for each in MODULES if floor_of(each) < 3], ids=name_of)


def test_every_part_of_the_package_has_its_floor():
    parts = {path.relative_to(PACKAGE).with_suffix("").parts[0] for path in MODULES}
    assert parts <= FLOOR_OF.keys()
    assert {"errors", "cms", "media", "stanza", "freshness", "certificates", "protection", "plugin"} <= parts


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_import_goes_up(path):
    found = {parts_of_ours(module, name) for module, name in imports(path)} - {None}
    assert {part for part in found if FLOOR_OF[part] > floor_of(path)} == set()


@pytest.mark.parametrize("path", [each for each in MODULES if "cms" in each.parts], ids=name_of)
def test_cms_knows_nothing_of_xmpp(path):
    found = {parts_of_ours(module, name) for module, name in imports(path)} - {None}
    assert found <= {"cms", "errors", "tables"}
    assert not any(module.split(".")[0] == "slixmpp" for module, _ in imports(path))


@lower
def test_the_lower_floors_know_no_stream(path):
    found = {each for each in imports(path) if each[0].split(".")[0] == "slixmpp"}
    assert found <= FROM_SLIXMPP


@lower
def test_the_lower_floors_do_no_input_or_output(path):
    assert {module.split(".")[0] for module, _ in imports(path)} & OUTSIDE == set()
    called = {node.func.id for node in calls(path) if isinstance(node.func, ast.Name)}
    assert called & {"open", "print", "input", "exec", "eval", "__import__"} == set()


@lower
def test_the_lower_floors_read_no_clock(path):
    """`now` is an argument or a field that somebody else fills: `self.now()` is fine, `datetime.now()` is not."""
    read = {
        ast.unparse(node.func)
        for node in calls(path)
        if isinstance(node.func, ast.Attribute)
        and node.func.attr in CLOCKS
        and ast.unparse(node.func.value).split(".")[-1] in {"datetime", "date", "time"}
    }
    assert read == set()


@lower
def test_the_lower_floors_keep_no_state_of_their_own(path):
    assert not any(isinstance(node, ast.Global | ast.Nonlocal) for node in ast.walk(tree_of(path)))


def calls(path: Path) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_file_is_longer_than_five_hundred_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 500


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_says_what_it_is_for(path):
    assert ast.get_docstring(tree_of(path))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_module_has_a_name_that_says_nothing(path):
    assert path.stem not in {"utils", "util", "helpers", "helper", "manager", "common", "misc"}


class TestPublicNames:
    def test_they_are_all_there_once_and_in_order(self):
        assert slixmpp_e2e.__all__ == sorted(set(slixmpp_e2e.__all__))
        for name in slixmpp_e2e.__all__:
            assert hasattr(slixmpp_e2e, name)

    def test_nothing_else_of_ours_is_public(self):
        public = {
            name
            for name, value in vars(slixmpp_e2e).items()
            if not name.startswith("_")
            and not inspect.ismodule(value)
            and getattr(value, "__module__", "").startswith("slixmpp_e2e")
        }
        assert public == set(slixmpp_e2e.__all__)

    @pytest.mark.parametrize("name", slixmpp_e2e.__all__)
    def test_each_is_documented(self, name):
        value = getattr(slixmpp_e2e, name)
        documented = vars(value).get("__doc__")
        assert documented
        assert not documented.startswith(f"{value.__name__}(")  # what a data class gets for nothing
        for member, found in vars(value).items():
            if not member.startswith("_") and inspect.isfunction(found):
                assert found.__doc__, f"{name}.{member}"

    def test_each_error_that_a_program_can_catch_is_public(self):
        errors = importlib.import_module("slixmpp_e2e.errors")
        ours = {
            name
            for name, value in vars(errors).items()
            if inspect.isclass(value) and issubclass(value, errors.E2EError)
        }
        assert ours <= set(slixmpp_e2e.__all__)
