"""`docs/configuration.md` knows every option, event, reason, report field and method; nothing else checks prose."""

import ast
import inspect
import re
from dataclasses import fields
from pathlib import Path

import pytest

import slixmpp_e2e
from slixmpp_e2e import E2EPlugin, SecurityReport
from slixmpp_e2e.plugin.configuration import DEFAULTS

ROOT = Path(__file__).parents[1]
PACKAGE = Path(slixmpp_e2e.__file__).parent  # what is installed, wherever the tests are
PAGE = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line[:1] == "|"
]
TREES = [ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py")]


def described() -> set[str]:
    """Return what stands between backquotes at the head of a row."""
    return {name for row in ROWS for name in re.findall(r"`(?:await )?([^`(]+)(?:\([^`]*)?`", row[0])}


@pytest.mark.parametrize("option", DEFAULTS)
def test_an_option_is_described_with_its_default(option):
    (row,) = [row for row in ROWS if row[0] == f"`{option}`"]
    default = DEFAULTS[option]
    if default is None:
        assert row[-1].startswith("none")
    elif option == "clock":
        assert row[-1] == "`time.time_ns`"
    else:
        assert row[-1].replace('"', "'").startswith(f"`{default}`")


def test_every_event_is_described_and_no_other():
    events = {
        node.args[0].value
        for tree in TREES
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "event"
        and isinstance(node.args[0], ast.Constant)
    }
    assert {name for name in described() if name.startswith("e2e_")} == events


def test_every_reason_is_described():
    reasons = {
        node.value.value
        for tree in TREES
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg == "reason" and isinstance(node.value, ast.Constant)
    }
    assert {"old", "unsigned", "certificate-changed"} <= reasons
    assert reasons - {None} <= described()


def test_every_field_and_verdict_of_a_report_is_described():
    names = {each.name for each in fields(SecurityReport)}
    names |= {name for name, value in vars(SecurityReport).items() if isinstance(value, property)}
    assert names <= described()


def test_every_method_of_the_plugin_is_described():
    inherited = {"plugin_init", "plugin_end", "post_init", "session_bind"}
    methods = {
        name for name, _ in inspect.getmembers(E2EPlugin, inspect.isfunction) if name in vars(E2EPlugin)
    }
    assert {name for name in methods if not name.startswith("_")} - inherited <= described()
