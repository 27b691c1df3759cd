"""Name constraints of a path (RFC 5280 4.2.1.10), through the validator that everything else uses."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from slixmpp_e2e.certificates.name_constraints import NameConstraints
from slixmpp_e2e.certificates.path import PathValidator
from slixmpp_e2e.cms.asn1 import ASN1Error, sequence, tlv
from slixmpp_e2e.cms.certificates import ParsedCertificate
from slixmpp_e2e.errors import CertificateError
from tests.certificates import drafts
from tests.certificates.drafts import IA5, PRINTABLE, UTF8, Draft, name, name_constraints
from tests.pki import MOMENT

KEYS = [ec.generate_private_key(ec.SECP256R1()) for _ in range(6)]
ITALY, CAPULET, WEST = ("C", "IT", PRINTABLE), ("O", "Casa Capulet", UTF8), ("OU", "West", UTF8)
JULIET = name(ITALY, CAPULET, ("CN", "juliet", UTF8))
INSIDE, OUTSIDE = name(ITALY, CAPULET), name(ITALY, ("O", "Casa Montague", UTF8))
NAMED = drafts.alternative_name(drafts.jid("juliet@example.com"))
BASIC = (drafts.basic_constraints(), drafts.key_usage())
ROOT = name(("O", "Verona", UTF8))
LONG = tlv(0x80, b"\1")


def also(*names: bytes) -> bytes:
    """The subjectAltName of juliet with more names in it."""
    return drafts.alternative_name(drafts.jid("juliet@example.com"), *names)


class World:
    """A root, CAs below it and an end entity, with extensions of their own."""

    def __init__(self, *authorities, root=(), leaf=(NAMED,), subject=JULIET, names=None):
        titles = names or [
            name(("O", "Verona", UTF8), ("CN", f"CA {i}", UTF8)) for i in range(len(authorities))
        ]
        drawn = [Draft(ROOT, ROOT, KEYS[0], (*BASIC, *root))]
        for number, extensions in enumerate(authorities, start=1):
            drawn.append(Draft(titles[number - 1], drawn[-1].subject, KEYS[number], (*BASIC, *extensions)))
        drawn.append(Draft(subject, drawn[-1].subject, KEYS[-1], tuple(leaf)))
        signers = [drawn[0].key, *(each.key for each in drawn[:-1])]
        self.certificates = [each.sign(key) for each, key in zip(drawn, signers, strict=True)]

    def find(self, *more, anchors=(), **options) -> tuple[x509.Certificate, ...]:
        """Look for the path; raise `CertificateError`."""
        anchor, *between, leaf = self.certificates
        paths = PathValidator([anchor, *anchors])
        hints = [ParsedCertificate.from_x509(each) for each in (*between, *more)]
        return paths.validate(ParsedCertificate.from_x509(leaf), hints, at=MOMENT, **options)

    def holds(self) -> bool:
        """Tell whether there is a path, and that it is the whole chain."""
        try:
            return list(self.find()) == self.certificates[::-1]
        except CertificateError:
            return False


def permitting(*bases: bytes, critical: bool = True, rest: bytes = b"") -> bytes:
    return name_constraints(bases, critical=critical, rest=rest)


def excluding(*bases: bytes, critical: bool = True, rest: bytes = b"") -> bytes:
    return name_constraints((), bases, critical=critical, rest=rest)


inside, outside = drafts.directory(INSIDE), drafts.directory(OUTSIDE)


class TestDirectoryNames:
    @pytest.mark.requirement("3850-4.2-1")
    @pytest.mark.parametrize("critical", [True, False])
    @pytest.mark.parametrize("where", ["anchor", "between", "both"])
    @pytest.mark.parametrize(
        ("constraints", "found"),
        [
            ((permitting, inside), True),
            ((permitting, outside), False),
            ((permitting, outside, inside), True),
            ((excluding, inside), False),
            ((excluding, outside), True),
            ((excluding, outside, inside), False),
        ],
    )
    def test_a_subject_is_where_it_may_be(self, critical, where, constraints, found):
        which, *bases = constraints
        own = (
            [drafts.directory(ROOT)] if which is permitting else []
        )  # what the anchor says binds the CA between
        world = World(
            [which(*bases, critical=critical)] if where != "anchor" else [],
            root=[which(*bases, *own, critical=critical)] if where != "between" else [],
        )
        assert world.holds() is found

    def test_not_critical_is_no_less_binding(self):
        """The library looks at subjectAltName alone, and at nothing where the extension is not critical."""
        assert not World([permitting(outside, critical=False)]).holds()
        assert not World([excluding(inside, critical=False)]).holds()

    def test_it_is_compared_as_names_are(self):
        written = name(ITALY, ("O", "CASA  capulet", PRINTABLE), WEST)
        assert World([permitting(inside)], subject=written).holds()
        assert not World([excluding(inside)], subject=written).holds()

    def test_what_can_not_be_compared_is_neither_in_nor_out(self):
        odd = name(ITALY, ("O", "Casa \U0001f600", UTF8))
        for which in (permitting, excluding):
            assert not World([which(inside)], subject=odd).holds()
            assert not World([which(drafts.directory(odd))]).holds()

    @pytest.mark.parametrize(
        ("alternative", "found"), [(INSIDE, True), (OUTSIDE, False), (name(ITALY, CAPULET, WEST), True)]
    )
    def test_alternative_names_count_as_well(self, alternative, found):
        world = World([permitting(inside)], leaf=[also(drafts.directory(alternative))])
        assert world.holds() is found
        world = World([excluding(outside)], leaf=[also(drafts.directory(alternative))])
        assert world.holds() is found

    def test_whoever_has_no_directory_name_is_not_constrained(self):
        assert World([permitting(outside)], subject=sequence()).holds()
        assert World([excluding(drafts.directory(sequence()))], subject=sequence()).holds()

    def test_the_empty_name_is_above_all_others(self):
        everything = drafts.directory(sequence())
        assert World([permitting(everything)]).holds()
        assert not World([excluding(everything)]).holds()

    def test_every_ca_of_the_path_has_its_say(self):
        names = [INSIDE, name(ITALY, CAPULET, WEST)]
        west = drafts.directory(name(ITALY, CAPULET, WEST))
        subject = name(ITALY, CAPULET, WEST, ("CN", "juliet", UTF8))
        assert World([permitting(inside)], [permitting(west)], names=names, subject=subject).holds()
        assert not World([permitting(inside)], [permitting(west)], names=names).holds()
        assert not World([permitting(west)], [permitting(inside)], names=names).holds()
        assert not World([excluding(west)], [permitting(inside)], names=names, subject=subject).holds()

    def test_a_ca_is_constrained_by_those_above_it_and_not_by_itself(self):
        assert World([], [permitting(inside)]).holds()
        assert not World([permitting(inside)], []).holds()

    def test_a_ca_that_issued_itself_is_not_constrained_but_an_end_entity_is(self):
        own = name(("O", "Verona", UTF8), ("CN", "new keys", UTF8))
        assert World([permitting(inside)], [], names=[own, own]).holds()
        assert not World([permitting(inside)], [], names=[own, own], subject=own).holds()


class TestOtherNames:
    @pytest.mark.parametrize("which", [permitting, excluding])
    @pytest.mark.parametrize(
        ("base", "mine"),
        [
            (drafts.uri("example.com"), drafts.uri("im:juliet@example.com")),
            (drafts.uri(".example.com"), drafts.uri("http://www.example.com/")),
            (drafts.jid("example.com"), None),
            (drafts.address(b"\x0a\0\0\0\xff\0\0\0"), drafts.address(b"\x0a\1\2\3")),
            (tlv(0x88, b"\x2a\x03"), tlv(0x88, b"\x2a\x03\x04")),
        ],
    )
    def test_what_is_not_compared_forbids_all_such_names(self, which, base, mine):
        """xmppAddr is an otherName: whoever constrains otherNames has no users with JIDs."""
        is_directory = which(inside, base) if which is permitting else which(outside, base)
        assert not World([is_directory], leaf=[also(*filter(None, [mine]))]).holds()
        without = [] if mine is None else [NAMED]
        assert World([is_directory], leaf=without).holds()

    @pytest.mark.parametrize(
        ("base", "mine", "found"),
        [
            (drafts.dns("example.com"), "example.com", True),
            (drafts.dns("example.com"), "www.EXAMPLE.com", True),
            (drafts.dns("example.com"), "badexample.com", False),
            (drafts.dns("www.example.com"), "example.com", False),
            (drafts.mail("example.com"), "juliet@example.com", True),
            (drafts.mail("example.com"), "juliet@EXAMPLE.com", True),
            (drafts.mail("example.com"), "juliet@mail.example.com", False),
            (drafts.mail(".example.com"), "juliet@mail.example.com", True),
            (drafts.mail(".example.com"), "juliet@example.com", False),
            (drafts.mail("juliet@example.com"), "juliet@example.com", True),
            (drafts.mail("juliet@example.com"), "Juliet@example.com", False),
            (drafts.mail("juliet@example.com"), "romeo@example.com", False),
        ],
    )
    def test_dns_names_and_addresses_are_compared(self, base, mine, found):
        kind = drafts.mail if base[0] == 0x81 else drafts.dns
        leaf = [also(kind(mine))]
        assert World([permitting(inside, base)], leaf=leaf).holds() is found
        assert World([excluding(outside, base)], leaf=leaf).holds() is not found
        for which in (permitting(inside, base), excluding(outside, base)):
            assert World([which]).holds()  # without such a name

    @pytest.mark.parametrize(
        ("base", "mine"),
        [
            (drafts.dns("example.com"), drafts.dns("*.example.com")),
            (drafts.dns(".example.com"), drafts.dns("www.example.com")),
            (drafts.dns("example.com"), drafts.dns("www..example.com")),
            (drafts.dns("example.com"), drafts.dns("-.example.com")),
            (drafts.dns(""), drafts.dns("www.example.com")),
            (drafts.mail("example.com"), drafts.mail("juliet")),
            (drafts.mail("example.com"), drafts.mail('"juliet"@example.com')),
            (drafts.mail("example.com"), drafts.mail("juliet@a@example.com")),
            (drafts.mail(""), drafts.mail("juliet@example.com")),
            (drafts.mail("@example.com"), drafts.mail("juliet@example.com")),
        ],
    )
    def test_a_malformed_one_is_neither_in_nor_out(self, base, mine):
        for which in (permitting(inside, base), excluding(outside, base)):
            assert not World([which], leaf=[also(mine)]).holds()

    @pytest.mark.parametrize(
        ("address", "found"), [("juliet@example.com", True), ("juliet@example.net", False)]
    )
    def test_addresses_in_subjects_count(self, address, found):
        subject = name(ITALY, CAPULET, ("E", address, IA5))
        base = drafts.mail("example.com")
        assert World([permitting(inside, base)], subject=subject).holds() is found
        assert World([permitting(inside)], subject=subject).holds()
        # and where the library has found the path, in certificates without subjectAltName (RFC 5280 4.2.1.10)
        assert World([permitting(base)], subject=subject, leaf=[]).holds() is found
        assert World([excluding(base)], subject=subject, leaf=[]).holds() is not found
        assert World([permitting(base)], [], names=[ROOT, subject]).holds() is found
        assert World([permitting(base)], subject=subject).holds()


class TestExtension:
    @pytest.mark.parametrize("rest", [LONG, tlv(0x81, b"\5"), LONG + tlv(0x81, b"\5")])
    @pytest.mark.parametrize("base", [inside, drafts.dns("example.com")])
    def test_minimum_and_maximum_forbid_the_path(self, rest, base):
        assert World([permitting(base)]).holds()
        assert not World([permitting(base, rest=rest)]).holds()

    @pytest.mark.parametrize(
        "der",
        [
            b"",
            sequence(),
            sequence(tlv(0xA0)),
            sequence(tlv(0xA1, sequence(inside)), tlv(0xA0, sequence(inside))),
            sequence(tlv(0xA0, sequence(inside))) + b"\0",
            sequence(tlv(0xA0, inside)),
            sequence(tlv(0xA2, sequence(inside))),
            sequence(tlv(0xA0, *[sequence(inside)] * 129)),
        ],
    )
    def test_what_is_none_is_refused(self, der):
        with pytest.raises(ASN1Error):
            NameConstraints.from_der(der)
        assert not World([drafts.extension("2.5.29.30", der)]).holds()

    @given(st.data())
    def test_whatever_it_says_there_is_a_path_or_there_is_none(self, data):
        der = bytearray(sequence(tlv(0xA0, sequence(inside), sequence(drafts.mail("example.com")))))
        for _ in range(data.draw(st.integers(0, 3))):
            der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
        everybody = [NAMED, also(drafts.mail("juliet@example.com"), drafts.directory(INSIDE))]
        world = World(
            [drafts.extension("2.5.29.30", bytes(der))], leaf=[data.draw(st.sampled_from(everybody))]
        )
        assert world.holds() in {True, False}  # and nothing but CertificateError is raised

    def test_an_end_entity_constrains_nobody(self):
        assert not World([permitting(inside)], leaf=[NAMED, permitting(inside)]).holds()

    def test_more_names_and_constraints_than_anybody_needs_are_refused(self):
        many = [drafts.directory(name(ITALY, ("O", str(number), UTF8))) for number in range(100)]
        alternatives = [
            drafts.directory(name(ITALY, CAPULET, ("CN", str(number), UTF8))) for number in range(50)
        ]
        assert World([excluding(*many)], leaf=[also(*alternatives[:35])]).holds()
        assert not World([excluding(*many)], leaf=[also(*alternatives)]).holds()

    def test_longer_names_than_anybody_needs_are_refused(self):
        def bases(count):
            return [
                drafts.directory(name(ITALY, ("O", f"{number:04}" * 100, UTF8))) for number in range(count)
            ]

        assert World([excluding(*bases(60))]).holds()
        assert not World([excluding(*bases(90))]).holds()


class TestSearch:
    def test_without_a_known_ca_there_is_no_path(self):
        world = World([permitting(inside)])
        del world.certificates[1]
        assert not world.holds()

    def test_a_path_that_the_library_refuses_is_none_because_a_stranger_constrains_names(self):
        """Who sends a CA with such a constraint along does not change what counts for the others."""
        stranger = World([permitting(inside)], names=[INSIDE]).certificates[1]
        for wrong in (
            World([drafts.extension("1.2.3", b"\5\0", critical=True)]),
            World([excluding(drafts.uri("example.com"))], leaf=[also(drafts.uri("im:juliet@example.com"))]),
            World([drafts.purposes("1.3.6.1.5.5.7.3.1")]),
        ):
            with pytest.raises(CertificateError):
                wrong.find(stranger)

    def test_nor_is_one_that_is_too_weak(self):
        """Nothing in it constrains directory names, so it is not for the code that knows them."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
        issuer, stranger = name(("CN", "small", UTF8)), World([permitting(inside)], names=[INSIDE])
        world = World([])
        world.certificates[1:] = [
            Draft(issuer, ROOT, key, BASIC).sign(KEYS[0]),
            Draft(JULIET, issuer, KEYS[-1], (NAMED,)).sign(key),
        ]
        with pytest.raises(CertificateError, match=r"RSA key.*nor one through.*that the library refuses"):
            world.find(stranger.certificates[1])

    def test_a_path_without_constraints_is_found_beside_one_with_them(self):
        good, bad = World([]), World([permitting(outside)])
        assert list(good.find(bad.certificates[1])) == good.certificates[::-1]

    def test_around_what_is_avoided_another_one_is_looked_for(self):
        first, other = World([permitting(inside)]), World([permitting(inside)]).certificates[1]
        avoiding = [ParsedCertificate.from_x509(first.certificates[1]).fingerprint]
        assert other != first.certificates[1]
        assert first.find(other, avoiding=avoiding)[1] == other
        with pytest.raises(CertificateError):
            first.find(avoiding=avoiding)

    def test_what_nobody_can_read_is_taken_for_a_constraint(self):
        unreadable = drafts.alternative_name(
            tlv(0xA3, sequence())
        )  # an X.400 address, which the library can't read
        assert World([], root=[unreadable]).holds()
        assert not World([], root=[unreadable, permitting(inside, critical=False)]).holds()
        assert not World([], root=[unreadable, permitting(drafts.dns("example.com"))]).holds()

    def test_a_name_that_the_library_warns_of_raises_nothing_else(self):
        """These tests make errors of warnings, as a program may."""
        odd = name(("C", "ITA", PRINTABLE))
        for world in (
            World([], subject=odd),
            World([permitting(inside)], subject=odd),
            World([permitting(inside)], [], names=[ROOT, odd]),
        ):
            with pytest.raises(UserWarning, match="length"):
                assert [each.subject for each in world.certificates]
            assert not world.holds()

    def test_all_anchors_may_constrain_names(self):
        own = drafts.directory(name(("O", "Verona", UTF8)))
        assert World([], root=[permitting(inside, own)]).holds()
        assert not World([], root=[permitting(own)]).holds()

    def test_what_all_other_paths_need_is_needed_here(self):
        demand = drafts.extension("2.5.29.36", sequence(tlv(0x80, b"\0")))  # a policy, and there is none
        assert World([permitting(inside)]).holds()
        assert not World([permitting(inside), demand]).holds()
        small = World([permitting(inside)])
        key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
        issuer = name(("O", "Verona", UTF8), ("CN", "CA 0", UTF8))
        weak = Draft(issuer, ROOT, key, (*BASIC, permitting(inside))).sign(KEYS[0])
        small.certificates[1:] = [weak, Draft(JULIET, issuer, KEYS[-1], (NAMED,)).sign(key)]
        with pytest.raises(CertificateError, match="1024 bits"):
            small.find()
