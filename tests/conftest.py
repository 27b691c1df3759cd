"""What every test may use: one throw-away PKI a session.

Tests that need another program (marks as in `_PROGRAMS`) are skipped where it is not installed, unless
E2E_REQUIRE_PEERS is set, as CI does: then they fail.
"""

import os
import shutil
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import settings

from slixmpp_e2e.certificates import identity
from tests.pki import PKI, Entity, make_pki
from tests.softhsm import SoftHSM, make_tokens

# RSA is too uneven in time for deadlines; `timeout` in pyproject.toml bounds the whole test.
# CI draws the same examples every time, so that a run can be repeated; elsewhere every run looks at others.
_REPEATABLE = bool(os.environ.get("E2E_REPEATABLE"))
settings.register_profile("slixmpp_e2e", deadline=None, derandomize=_REPEATABLE)
settings.register_profile("minutes", deadline=None, max_examples=400, derandomize=_REPEATABLE)
settings.register_profile("fuzz", deadline=None, max_examples=20_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "slixmpp_e2e"))

_PROGRAMS = {
    "server": ("prosody",),
    "ejabberd": ("ejabberdctl", "erl"),
    "peer": ("openssl", "certutil", "cmsutil", "certtool", "java", "javac"),
    "postgresql": ("postgres", "initdb"),
    "prosody_modules": ("prosody",),
    "ldap": ("slapd", "slapadd"),
    "pkcs11": ("softhsm2-util",),
    "omemo": (),
}
#: One of the modules that don't come with Prosody itself.
_PROSODY_MODULE = Path("/usr/lib/prosody/modules/mod_client_certs/mod_client_certs.lua")
#: Where Debian keeps what is not for everybody's path.
_PLACES = os.pathsep.join(
    [os.environ.get("PATH", os.defpath), "/usr/sbin", *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]
)


def _missing(mark: str) -> list[str]:
    missing = [program for program in _PROGRAMS[mark] if shutil.which(program, path=_PLACES) is None]
    if mark == "peer" and not list(Path("/usr/share/java").glob("bcprov*.jar")):
        missing.append("Bouncy Castle (libbcprov-java, libbcpkix-java, libbcmail-java)")
    if mark == "prosody_modules" and not _PROSODY_MODULE.exists():
        missing.append("Prosody's community modules (prosody-modules)")
    if mark == "omemo" and find_spec("slixmpp_omemo") is None:
        missing.append("slixmpp-omemo (tests/coexistence/peers.txt)")
    return missing


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what can't run here, and say why."""
    if os.environ.get("E2E_REQUIRE_PEERS"):
        return
    for mark in _PROGRAMS:
        if missing := _missing(mark):
            skip = pytest.mark.skip(reason=f"not installed: {', '.join(missing)}")
            for item in items:
                if item.get_closest_marker(mark):
                    item.add_marker(skip)


@pytest.fixture(scope="session", autouse=True)
def private_keys_are_read_once() -> Iterator[None]:
    """Reading an RSA key takes 60 ms, in which it is checked; thousands of tests read the same few again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(identity, "load_pem_private_key", cache(identity.load_pem_private_key))
        yield


@pytest.fixture(scope="session")
def pki() -> PKI:
    """A root, an intermediate CA and end entities."""
    return make_pki()


@pytest.fixture(scope="session")
def juliet(pki: PKI) -> Entity:
    """juliet@example.com, RSA-2048."""
    return pki["juliet"]


@pytest.fixture(scope="session")
def romeo(pki: PKI) -> Entity:
    """romeo@example.net, RSA-2048."""
    return pki["romeo"]


@pytest.fixture(scope="session")
def softhsm(pki: PKI, tmp_path_factory: pytest.TempPathFactory) -> SoftHSM:
    """SoftHSM with its tokens; the variable stays set, as the library does."""
    directory = tmp_path_factory.mktemp("softhsm")
    os.environ["SOFTHSM2_CONF"] = str(directory / "softhsm2.conf")
    return make_tokens(directory, pki)
