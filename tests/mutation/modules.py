"""Which modules are mutated, and by which tests they are judged."""

import hashlib
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = ROOT / "slixmpp_e2e"
#: What verifies, decrypts, matches names, judges time, and binds stanzas.
MODULES: Final = (
    "cms/asn1",
    "cms/algorithms",
    "cms/signed_data",
    "cms/signatures",
    "cms/signing_certificate",
    "cms/enveloped_data",
    "cms/recipients",
    "cms/key_agreement",
    "cms/key_derivation",
    "cms/certificates",
    "certificates/names",
    "certificates/path",
    "certificates/policies",
    "certificates/trust",
    "certificates/revocation",
    "certificates/revocation_list",
    "certificates/ocsp",
    "media/addresses",
    "freshness",
    "stanza",
    "outer",
    "formats/content",
    "formats/claims",
    "formats/decoy",
    "formats/rfc3923",
    "formats/objenc",
    "formats/objenc_envelope",
    "formats/objenc_signed",
    "arriving",
    "signers",
)
#: Files of tests, or directories of them. The others need servers or other programs, or take long.
TESTS: Final = (
    "tests/cms",
    "tests/certificates",
    "tests/formats",
    "tests/protection",
    "tests/media/test_addresses.py",
    "tests/media/test_cpim.py",
    "tests/media/test_presence.py",
    "tests/test_freshness.py",
    "tests/test_outer.py",
    "tests/test_stanza.py",
    "tests/test_endpoint.py",
    "tests/test_gateway.py",
    "tests/plugin/test_outer.py",
    "tests/stores/test_replay_record.py",
)


def path_of(module: str) -> Path:
    """Return the file of a module."""
    return PACKAGE / f"{module}.py"


def files_of_tests() -> list[Path]:
    """Return the files of all tests that judge."""
    found: list[Path] = []
    for each in TESTS:
        path = ROOT / each
        found += sorted(path.glob("test_*.py")) if path.is_dir() else [path]
    return found


def digest_of(*paths: Path) -> str:
    """Return what tells whether one of these files is another one now."""
    whole = hashlib.sha256()
    for path in paths:
        whole.update(path.read_bytes())
    return whole.hexdigest()[:16]
