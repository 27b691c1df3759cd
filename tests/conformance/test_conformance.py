"""Every requirement has a test or a reason, every marker a requirement, and the page says what is."""

from pathlib import Path

import pytest

from tests.conformance.markers import TESTS, MarkerError, name_of, read_markers, read_source
from tests.conformance.table import PAGE, load, page, problems

ONE = '[rfc1]\ntitle = "RFC 1"\n[rfc1.requirements]\n1-1 = {{ level = "MUST", actor = "both", where = "1", {} }}\n'


def only(more: str = "") -> list:
    """A table with one requirement."""
    return list(load(ONE.format(f'text = "Do it"{more}')))


def test_every_requirement_has_a_test_or_a_reason_and_every_marker_a_requirement():
    assert problems(load(), read_markers()) == []


def test_the_page_is_what_the_generator_writes():
    written = PAGE.read_text(encoding="utf-8")
    assert written == page(load(), read_markers()), "run python -m tests.conformance"


def test_pytest_sees_the_markers_as_they_are_read(request):
    """Of the tests that are collected together with this one."""
    tests = read_markers()
    for item in request.session.items:
        if not item.path.is_relative_to(TESTS) or not isinstance(item, pytest.Function):
            continue
        seen = {each for marker in item.iter_markers("requirement") for each in marker.args}
        name = name_of(Path(item.path).relative_to(TESTS), item.originalname)
        assert seen <= {each for each, shown in tests.items() if name in shown}, item.nodeid


@pytest.mark.parametrize(
    ("more", "tests", "problem"),
    [
        ("", {}, "1-1: neither a test nor a reason"),
        ("", {"1-1": {"a::b"}, "1-2": {"a::c"}}, "a::c: there is no requirement 1-2"),
        (', status = "not done", reason = "x"', {"1-1": {"a::b"}}, "1-1: a test shows it, and yet"),
        (', status = "met by", reason = "x"', {"1-1": {"a::b"}}, "1-1: a test shows it, and yet"),
        (', status = "not done"', {}, "a status and its reason stand together"),
        (', reason = "x"', {"1-1": {"a::b"}}, "a status and its reason stand together"),
        (', status = "perhaps", reason = "x"', {}, "'perhaps' is no status"),
        (', formats = ["pgp"]', {"1-1": {"a::b"}}, "'pgp' is no format"),
        (", formats = []", {"1-1": {"a::b"}}, "some format meets what is met"),
        (', formats = ["objenc"], status = "open", reason = "x"', {}, "and none what is not"),
    ],
)  # fmt: skip
def test_what_does_not_agree_is_said(more, tests, problem):
    (found,) = problems(only(more), {key: frozenset(value) for key, value in tests.items()})
    assert problem in found


def test_what_agrees_is_no_problem():
    tests = {"1-1": frozenset({"a::b"})}
    assert problems(only(), tests) == problems(only(', status = "partial", reason = "x"'), tests) == []
    assert problems(only(', status = "does not bind", reason = "x"'), {}) == []


def test_a_line_of_the_page_says_what_shows_it_or_why_not():
    tests = {"1-1": frozenset({"b::c", "a::b"})}
    assert "| 1-1 | MUST | both | 1 | Do it | tested | `a::b`<br>`b::c` |\n" in page(only(), tests)
    assert "| **all** | 1 | 0 | 0 | 0 | 0 | 0 | 1 |\n" in page(only(), tests)
    missing = page(only(', status = "not done", reason = "Nobody has."'), {})
    assert "| 1-1 | MUST | both | 1 | Do it | not done | Nobody has. |\n" in missing


def test_a_line_of_the_page_says_which_formats_meet_it_where_that_is_asked():
    tests = {"1-1": frozenset({"a::b"})}
    met = page(only(', formats = ["rfc3923", "objenc"]'), tests)
    assert "| Do it | tested | **RFC 3923; draft-miller-3923bis-02 alone**<br>`a::b` |\n" in met
    unmet = page(only(', formats = [], status = "open", reason = "It takes a session."'), {})
    assert "| Do it | open | **no format**<br>It takes a session. |\n" in unmet


def test_a_marker_counts_for_its_test_and_one_on_a_class_for_all_its_tests():
    source = """
@pytest.mark.requirement("1")
class TestA:
    @pytest.mark.requirement("2", "3")
    @pytest.mark.parametrize("x", [1, 2])
    async def test_b(self): ...
    def test_c(self): ...
    def helper(self): ...
def test_d(): ...
"""
    assert list(read_source(source)) == [("test_b", {"1", "2", "3"}), ("test_c", {"1"})]


@pytest.mark.parametrize(
    "source",
    [
        "@pytest.mark.requirement('1')\ndef helper(): ...",
        "@pytest.mark.requirement('1')\nclass Helper:\n    def test_a(self): ...",
        "pytestmark = pytest.mark.requirement('1')\ndef test_a(): ...",
        "@pytest.mark.requirement\ndef test_a(): ...",
        "@pytest.mark.requirement(ONE)\ndef test_a(): ...",
        "@pytest.mark.parametrize('x', [pytest.param(1, marks=pytest.mark.requirement('1'))])\ndef test_a(x): ...",
    ],
)
def test_a_marker_that_stands_on_no_test_is_an_error(source):
    with pytest.raises(MarkerError):
        list(read_source(source))
