"""NIST PKITS: nothing is accepted that should be refused, and every false refusal has a reason (see `pkits`)."""

import re
import warnings
from collections import Counter

import pytest

from slixmpp_e2e.certificates.revocation_status import RevocationState
from slixmpp_e2e.cms.certificates import CertificatePool
from slixmpp_e2e.cms.signed_data import parse_signed_data
from slixmpp_e2e.errors import E2EError
from slixmpp_e2e.media import mime
from tests.certificates.pkits import DATA, PAGE, load, outcomes, page


def test_every_case_of_the_suite_is_there():
    sizes = Counter(case.number.rpartition(".")[0] for case in load())
    numbers = (6, 8, 11, 21, 8, 17, 5, 20, 8, 14, 11, 10, 38, 35, 10, 2)
    assert sizes == {f"4.{section}": size for section, size in enumerate(numbers, start=1)}
    subjects = {path.stem for path in (DATA / "certs").glob("*Test*EE.crt")}
    assert {case.certificate for case in load()} == subjects


def test_the_names_say_what_is_expected():
    for case in load():
        if case.certificate.startswith(("Valid", "Invalid")):
            assert case.valid is case.certificate.startswith("Valid"), case
        else:
            assert case.number.startswith(("4.8.", "4.12.3")), case


@pytest.mark.requirement("3850-4.2-1", "6120-13.7.2-1")
def test_nothing_is_accepted_that_should_be_refused():
    assert [each for each in outcomes() if each.hard and not each.case.valid] == []


def test_soft_accepts_nothing_that_is_known_to_be_revoked_or_has_no_path():
    let_pass = [each for each in outcomes() if each.soft and not each.case.valid]
    assert {each.state for each in let_pass} == {RevocationState.UNKNOWN, RevocationState.EXPIRED}
    # basic revocation, keys of lists, scopes, deltas: what only a list can tell
    sections = {each.case.number.rpartition(".")[0] for each in let_pass}
    assert sections == {"4.4", "4.5", "4.7", "4.14", "4.15"}


def test_what_is_refused_and_should_not_be_has_a_reason_and_nothing_else_has_one():
    for each in outcomes():
        assert (each.case.because is not None) == (each.case.valid and not each.hard), each


def test_the_page_is_what_the_generator_writes():
    assert PAGE.read_text(encoding="utf-8") == page(outcomes()), "run python -m tests.certificates.pkits"


# --------------------------------------------------------------------------- signed messages


def verify(data: bytes) -> None:
    """Verify one of the suite's signed messages; raise an `E2EError`."""
    entity = mime.parse_entity(mime.canonical_line_breaks(data))
    parts = mime.split_signed(entity)
    signed = parse_signed_data(parts.signature.decoded_body())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a negative serial number
        content, _ = signed.verify(CertificatePool(), content=parts.content)
    assert content.startswith(b"Content-Type: text/plain")


class TestMessages:
    """One signed mail for each case: detached signatures in multipart/signed, made by others."""

    def results(self) -> dict[str, str]:
        found = {}
        for path in sorted((DATA / "smime").glob("*.eml")):
            try:
                verify(path.read_bytes())
            except E2EError as error:
                found[path.stem.removeprefix("Signed")] = f"{error.reason}: {error}"
            else:
                found[path.stem.removeprefix("Signed")] = ""
        return found

    def test_all_verify_but_those_that_are_signed_with_dsa(self):
        results = self.results()
        assert len(results) == 224
        failed = {name: reason for name, reason in results.items() if reason}
        assert set(failed) == {
            "ValidDSASignaturesTest4",
            "ValidDSAParameterInheritanceTest5",
            "InvalidDSASignatureTest6",
        }
        assert all("signature algorithm" in reason for reason in failed.values())

    def test_none_verifies_with_another_text(self):
        changed = 0
        for path in sorted((DATA / "smime").glob("*.eml"))[::10]:
            data = path.read_bytes()
            other = re.sub(rb"sample", rb"simple", data)
            changed += other != data
            with pytest.raises(E2EError):
                verify(other)
        assert changed == 23
