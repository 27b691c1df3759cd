"""The mutants: what is changed, that they are found again, and that the reasons given are about some that exist."""

import ast
from pathlib import Path

from tests.mutation.document import read_reasons
from tests.mutation.modules import MODULES, files_of_tests, path_of
from tests.mutation.operators import find_mutants, mutate
from tests.mutation.session import functions_by_file, replace_code

SOURCE = '''
LIMIT: Final = 8

class Door:
    open: bool = False

    def enter(self, name: str, age: int = 3) -> str:
        """Say something."""
        assert age
        if age < LIMIT or not name:
            raise ValueError(f"{age} is {1} too few", 2)
        self.log(name)
        return name
'''


def names_of(source: str) -> list[str]:
    return [each.name for each in find_mutants(source)]


def test_what_is_changed():
    assert names_of(SOURCE) == [
        "module: 8 -> 9",
        "Door: False -> True",
        "Door.enter: 3 -> 4",
        "Door.enter: if age < LIMIT or not name -> if not",
        "Door.enter: age < LIMIT or not name -> not name",
        "Door.enter: age < LIMIT or not name -> age < LIMIT",
        "Door.enter: age < LIMIT or not name -> age < LIMIT and (not name)",
        "Door.enter: age < LIMIT -> age <= LIMIT",
        "Door.enter: not name -> name",
        "Door.enter: raise ValueError(f'{age} is {1} too few', 2) removed",
        "Door.enter: self.log(name) removed",
        "Door.enter: return name removed",
    ]


def test_only_what_is_in_a_body_can_be_replaced_in_place():
    inside = [each.name for each in find_mutants(SOURCE) if each.inside]
    assert [name for name in names_of(SOURCE) if name not in inside] == names_of(SOURCE)[:3]


def test_each_mutant_is_another_program_that_can_be_compiled():
    source = path_of("cms/signing_certificate").read_text()
    before = ast.unparse(ast.parse(source))
    for each in find_mutants(source):
        tree = mutate(source, each)
        compile(tree, "", "exec")
        assert ast.unparse(tree) != before, each.name


def test_two_of_one_name_are_told_apart():
    source = "def f(a, b):\n    return a == 1, b == 1\n"
    assert names_of(source)[1:] == ["f: a == 1 -> a != 1", "f: 1 -> 2", "f: b == 1 -> b != 1", "f: 1 -> 2 #2"]


def test_a_function_gets_its_changed_code_where_it_is():
    from tests.mutation import modules

    path = Path(modules.__file__)
    source = path.read_text()
    (mutant,) = [each for each in find_mutants(source) if each.name.startswith("path_of: return")]
    functions = functions_by_file()[str(path)]
    before = modules.path_of.__code__
    try:
        assert replace_code(functions, compile(mutate(source, mutant), str(path), "exec"))
        assert modules.path_of("freshness") is None
    finally:
        modules.path_of.__code__ = before
    assert modules.path_of("freshness").exists()


def test_every_reason_is_about_a_module_that_is_changed():
    reasons = read_reasons()
    assert set(reasons) <= set(MODULES)
    assert all(len(reason) > 10 for entries in reasons.values() for reason in entries.values())


def test_all_tests_that_judge_are_there():
    assert all(path.exists() for path in files_of_tests())
