"""Paths link by link: never laxer than the library, and of one mind with OpenSSL about directory names.

Longer forms of both comparisons: `make paths`.
"""

import os
import warnings
from contextlib import suppress
from random import Random

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from hypothesis import given
from hypothesis import strategies as st

from slixmpp_e2e.certificates.fields import read_fields
from slixmpp_e2e.certificates.links import _SIGNATURES, LinkedPaths
from slixmpp_e2e.cms.asn1 import ASN1Error, Reader
from slixmpp_e2e.errors import CertificateError
from tests.certificates import drafts
from tests.certificates.drafts import UTF8, Draft, name
from tests.certificates.drawn_chains import SPOILT, Chain, Chains
from tests.certificates.paths import against_openssl, against_the_library, library, ours
from tests.pki import MOMENT, PKI

BASIC = (drafts.basic_constraints(), drafts.key_usage())


@pytest.fixture(autouse=True)
def serial_numbers_may_be_negative():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def anything(_path: tuple[x509.Certificate, ...]) -> None:
    """Accept every path."""


def seed() -> int:
    """Other chains with every run, but in CI."""
    return 1 if os.environ.get("E2E_REPEATABLE") else Random().randrange(1 << 32)


class TestAgainstTheLibrary:
    @pytest.mark.requirement("6120-13.7.2-1")
    def test_what_it_refuses_is_refused(self):
        drawn = seed()
        counted, worse = against_the_library(Chains(drawn), 1000)
        assert [chain.spoilt for chain in worse] == [], f"seed {drawn}"
        assert counted["accepted here, accepted there"] > 150
        assert counted["refused here, refused there"] > 400

    @pytest.mark.parametrize("kind", SPOILT)
    def test_in_every_way_and_every_place(self, kind):
        chains = Chains(1)
        compared = 0
        for place in (*range(4), *range(4), *range(4)):
            links = chains._links(4)
            SPOILT[kind](chains.random, links[place])
            try:
                chain = chains._signed(links, [kind], in_order=True)
            except (ValueError, x509.InvalidVersion):  # nobody can read it
                continue
            assert ours(chain) is not None or library(chain) is None, (kind, place)
            compared += 1
        assert compared

    def test_chains_are_as_long_as_the_library_allows(self):
        chains = Chains(2)
        for depth in range(2, 10):
            chain = chains._signed(chains._links(depth), [], in_order=True)
            verdicts = ours(chain) is None, library(chain) is None
            assert verdicts == ((True, True) if depth < 8 else (False, False))


def is_known(chain: Chain) -> bool:
    """OpenSSL takes a CA without keyUsage for one, and self-issued CAs don't count in the length of a path for it."""
    return "no keyUsage" in chain.spoilt or {"self-issued", "path length"} <= set(chain.spoilt)


@pytest.mark.peer
@pytest.mark.requirement("6120-13.7.2-1")
def test_openssl_comes_to_the_same_about_directory_names():
    drawn = seed()
    counted, different = against_openssl(Chains(drawn), 60)
    assert [why for chain, why in different if not is_known(chain)] == [], f"seed {drawn}"
    assert counted["accepted here, accepted there"] > 5
    assert counted["refused here, refused there"] > 15


class TestEffort:
    def chain(self, twins: int) -> tuple[LinkedPaths, x509.Certificate, list[x509.Certificate]]:
        """A root, a CA below it, and others of its name with other keys."""
        keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(twins + 3)]
        root, middle, juliet = (name(("CN", each, UTF8)) for each in ("root", "middle", "juliet"))
        anchor = Draft(root, root, keys[0], BASIC).sign(keys[0])
        between = Draft(middle, root, keys[1], BASIC).sign(keys[0])
        leaf = Draft(juliet, middle, keys[2]).sign(keys[1])
        return (
            LinkedPaths([anchor]),
            leaf,
            [
                *(Draft(middle, root, key, BASIC).sign(keys[0]) for key in keys[3:]),
                between,
            ],
        )

    def test_eight_signatures_are_verified_and_no_more(self):
        paths, leaf, between = self.chain(6)
        assert len(paths.find(leaf, between, at=MOMENT, accept=anything)) == 3
        paths, leaf, between = self.chain(7)
        with pytest.raises(CertificateError, match="too many certificates"):
            paths.find(leaf, between, at=MOMENT, accept=anything)

    def test_whoever_has_another_key_by_his_own_word_costs_none(self):
        key, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        root = name(("CN", "root", UTF8))
        wrong = [
            Draft(root, root, other, (*BASIC, drafts.subject_key(bytes([each])))).sign(other)
            for each in range(20)
        ]
        anchor = Draft(root, root, key, (*BASIC, drafts.subject_key(b"mine"))).sign(key)
        leaf = Draft(name(("CN", "juliet", UTF8)), root, other, (drafts.authority_key(b"mine"),)).sign(key)
        paths = LinkedPaths([*wrong, anchor])
        assert paths.find(leaf, at=MOMENT, accept=anything) == (leaf, anchor)

    def test_cas_that_vouch_for_each_other_end(self):
        keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]
        one, two = (name(("CN", each, UTF8)) for each in ("one", "two"))
        first, second = (
            Draft(one, two, keys[0], BASIC).sign(keys[1]),
            Draft(two, one, keys[1], BASIC).sign(keys[0]),
        )
        leaf = Draft(name(("CN", "juliet", UTF8)), one, keys[2]).sign(keys[0])
        anchor = Draft(name(("CN", "root", UTF8)), two, keys[2], BASIC).sign(keys[1])
        with pytest.raises(CertificateError):
            LinkedPaths([anchor]).find(leaf, [first, second], at=MOMENT, accept=anything)

    def test_a_path_that_is_not_wanted_is_not_the_last(self):
        keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]
        root, middle = (name(("CN", each, UTF8)) for each in ("root", "middle"))
        anchor = Draft(root, root, keys[0], BASIC).sign(keys[0])
        between, twice = (Draft(middle, root, keys[1], BASIC).sign(keys[0]) for _ in range(2))
        leaf = Draft(name(("CN", "juliet", UTF8)), middle, keys[2]).sign(keys[1])
        seen = []

        def refuse_the_first(path):
            seen.append(path)
            if len(seen) == 1:
                raise CertificateError("not this one")

        found = LinkedPaths([anchor]).find(leaf, [between, twice], at=MOMENT, accept=refuse_the_first)
        assert [path[1] for path in seen] == [between, twice]
        assert found == seen[1]


@pytest.mark.parametrize("size", [256, 384, 512])
def test_signatures_by_rsa_pss_count_with_one_digest_and_a_salt_of_its_length(size):
    digest = {256: hashes.SHA256(), 384: hashes.SHA384(), 512: hashes.SHA512()}[size]
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def algorithm(salt: int, mask=digest) -> bytes:
        builder = x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(x509.Name([]))
        builder = builder.public_key(key.public_key()).serial_number(1)
        found = (
            builder.not_valid_before(MOMENT)
            .not_valid_after(MOMENT)
            .sign(key, digest, rsa_padding=padding.PSS(padding.MGF1(mask), salt))
        )
        return read_fields(found).signature_algorithm

    assert algorithm(digest.digest_size) in _SIGNATURES
    assert algorithm(20) not in _SIGNATURES


class TestFields:
    def test_they_are_those_of_the_library(self, pki: PKI):
        for entity in (pki.root, pki.intermediate, *pki.entities.values()):
            fields, found = read_fields(entity.certificate), entity.certificate
            assert fields.subject == found.subject.public_bytes()
            assert fields.issuer == found.issuer.public_bytes()
            assert int.from_bytes(fields.serial_number, "big") == found.serial_number
            assert len(fields.extensions) == len(found.extensions)
            assert fields.is_v3
            assert fields.is_self_issued is (found.subject == found.issuer)

    @given(st.data())
    def test_whatever_is_changed_nothing_else_is_raised(self, pki: PKI, data):
        der = bytearray(pki["p-256"].der)
        for _ in range(data.draw(st.integers(1, 3))):
            der[data.draw(st.integers(0, len(der) - 1))] ^= data.draw(st.integers(1, 255))
        try:
            changed = x509.load_der_x509_certificate(bytes(der))
        except (ValueError, x509.InvalidVersion, Warning):
            return
        with suppress(ASN1Error):
            assert Reader(read_fields(changed).subject).enter() is not None
        with pytest.raises(CertificateError):
            LinkedPaths([pki.root.certificate], [changed]).find(changed, at=MOMENT, accept=anything)
