"""NIST's Public Key Interoperability Test Suite: the cases of its section 4, and the page that says how they end.

Certificates and lists are those of `cryptography-vectors`. All CA certificates and all revocation lists of the suite
are there in every case: what belongs to another case must not matter. `python -m tests.certificates.pkits` writes
the page.
"""

import tomllib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import cryptography_vectors
from cryptography import x509

from slixmpp_e2e.certificates.path import PathValidator
from slixmpp_e2e.certificates.revocation import RevocationChecker
from slixmpp_e2e.certificates.revocation_lists import RevocationLists
from slixmpp_e2e.certificates.revocation_status import RevocationState
from slixmpp_e2e.cms.certificates import CertificatePool, ParsedCertificate
from slixmpp_e2e.errors import CertificateError
from tests.pki import MOMENT

DATA: Final = Path(cryptography_vectors.__file__).parent / "x509" / "PKITS_data"
CASES: Final = Path(__file__).with_name("pkits.toml")
PAGE: Final = Path(__file__).parents[2] / "docs" / "pkits.md"
ANCHOR: Final = "TrustAnchorRootCertificate"


@dataclass(frozen=True, slots=True)
class Case:
    """One case of the suite."""

    number: str
    section: str
    certificate: str
    valid: bool
    because: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What we say of a case."""

    case: Case
    #: None: there is no path.
    state: RevocationState | None

    @property
    def hard(self) -> bool:
        """Whether `revocation="hard"` accepts it."""
        return self.state is RevocationState.GOOD

    @property
    def soft(self) -> bool:
        """Whether `revocation="soft"` accepts it."""
        return self.state not in {None, RevocationState.REVOKED}


def load() -> tuple[Case, ...]:
    """Read the cases."""
    sections = tomllib.loads(CASES.read_text(encoding="utf-8"))
    return tuple(
        Case(f"{section}.{number}", found["title"], **fields)
        for section, found in sections.items()
        for number, fields in found["cases"].items()
    )


def read(name: str) -> ParsedCertificate | None:
    """Return a certificate of the suite, or None if it can't be read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a negative serial number
        return CertificatePool().parse((DATA / "certs" / f"{name}.crt").read_bytes())


@cache
def outcomes() -> tuple[Outcome, ...]:
    """Judge all cases; no list and no certificate of the suite is left out."""
    cases = load()
    subjects = {case.certificate for case in cases}
    others = {path.stem for path in (DATA / "certs").glob("*.crt")} - subjects - {ANCHOR}
    between = [found.certificate for name in sorted(others) if (found := read(name)) is not None]
    anchor = x509.load_der_x509_certificate((DATA / "certs" / f"{ANCHOR}.crt").read_bytes())
    lists = RevocationLists()
    for path in sorted((DATA / "crls").glob("*.crl")):
        lists.add(path.read_bytes())
    paths, checker = PathValidator([anchor], between), RevocationChecker("hard", lists=lists)
    return tuple(Outcome(case, _judge(case, paths, checker)) for case in cases)


def _judge(case: Case, paths: PathValidator, checker: RevocationChecker) -> RevocationState | None:
    found = read(case.certificate)
    if found is None:
        return None
    try:
        return checker.check(paths.validate(found, at=MOMENT), at=MOMENT).state
    except CertificateError:
        return None


# --------------------------------------------------------------------------- the page

_HEAD: Final = """\
# NIST PKITS

What becomes of every case of section 4 of NIST's Public Key Interoperability Test Suite. This page is written by
`python -m tests.certificates.pkits` from `tests/certificates/pkits.toml` and from what the code says, and a test
fails when it is not up to date. All CA certificates and revocation lists of the suite are there in every case.

- **hard** and **soft**: whether `revocation="hard"` and `revocation="soft"` accept it; in brackets what is known of
  its revocation. Soft lets pass what is not known to be revoked, and the report says so: that is what it is for.
- With `hard`, **nothing is accepted that should be refused.** What should be accepted and is refused has a word why.

"""


def page(found: Sequence[Outcome]) -> str:
    """Return the whole page."""
    lines = [_HEAD + _row("", "accepted (hard)", "refused (hard)", "accepted (soft)", "refused (soft)")]
    lines.append(_row("---", *["---:"] * 4))
    for valid, title in ((True, "should be accepted"), (False, "should be refused")):
        group = [each for each in found if each.case.valid is valid]
        hard, soft = sum(each.hard for each in group), sum(each.soft for each in group)
        lines.append(_row(title, *map(str, (hard, len(group) - hard, soft, len(group) - soft))))
    section = None
    for each in found:
        if each.case.section != section:
            section = each.case.section
            number = each.case.number.rpartition(".")[0]
            lines += [
                "",
                f"## {number} {section}",
                "",
                _row("case", "certificate", "expected", "hard", "soft", "why"),
            ]
            lines.append(_row(*["---"] * 6))
        lines.append(_line(each))
    return "\n".join((*lines, ""))


def _line(found: Outcome) -> str:
    case = found.case
    known = f" ({found.state})" if found.state is not None else " (no path)"
    name = case.certificate.removesuffix("EE")
    return _row(
        case.number, name, _word(case.valid), _word(found.hard) + known, _word(found.soft), case.because or ""
    )


def _word(accepted: bool) -> str:
    return "accepted" if accepted else "refused"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    PAGE.write_text(page(outcomes()), encoding="utf-8")
