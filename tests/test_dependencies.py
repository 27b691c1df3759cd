"""What `.ci/run` tests as the lowest versions, and what the documentation names, is what pyproject.toml says."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
#: What only those need who work on the package.
OURS = {"test", "fuzz", "lint", "docs"}


def bounds() -> dict[str, str]:
    """Return the lowest version of each package that users may have."""
    groups = [PROJECT["dependencies"]]
    groups += [group for extra, group in PROJECT["optional-dependencies"].items() if extra not in OURS]
    found = [re.fullmatch(r"([A-Za-z0-9._-]+)>=([0-9.]+)", each) for group in groups for each in group]
    assert all(found), "a dependency without a lowest version, or with more than that"
    return {each[1]: each[2] for each in found}


def number(version: str) -> tuple[int, ...]:
    """Return what tells versions apart: 13 is 13.0.0."""
    parts = [int(part) for part in version.split(".")]
    while parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def pins() -> dict[str, str]:
    lines = (ROOT / "tests" / "lowest.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def test_the_lowest_versions_that_are_tested_are_the_lowest_that_are_allowed():
    assert {"slixmpp", "cryptography", "asn1crypto", "asyncpg"} <= bounds().keys()
    assert {name: number(version) for name, version in pins().items()} == {
        name: number(version) for name, version in bounds().items()
    }


def test_the_documentation_names_the_same():
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    named = dict(re.findall(r"^\| ([A-Za-z0-9._-]+) >= ([0-9.]+) ", page, re.MULTILINE))
    assert bounds().items() <= named.items()
