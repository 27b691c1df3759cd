"""Signers, certificates and revocation lists that cost as much as can be."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from slixmpp_e2e.cms.algorithms import ID_DATA, ID_SIGNED_DATA
from slixmpp_e2e.cms.asn1 import CONSTRUCTED, Reader, integer, octet_string, oid, sequence, tlv
from slixmpp_e2e.cms.signatures import SCHEMES
from slixmpp_e2e.cms.signed_data import Signer, sign
from slixmpp_e2e.media import mime
from tests.certificates.building import certificate, end_entity, key_usage, new_key, revocation_list
from tests.fuzz.worst import TEXT, Maker, an_object, case, e2e, fitting, many, stanza
from tests.pki import MOMENT, XMPP_ADDRESS, Entity

SIGNS = key_usage("digital_signature")


def certificates(entities: Iterable[Entity]) -> bytes:
    """Return a message with certificates and nothing else."""
    along = tlv(CONSTRUCTED, *(each.der for each in entities))
    fields = sequence(integer(1), tlv(0x31, b""), sequence(ID_DATA), along, tlv(0x31, b""))
    der = sequence(ID_SIGNED_DATA, tlv(CONSTRUCTED, fields))
    return stanza(e2e(mime.pkcs7_text(der, "certs-only")))


def _with_names(pattern: str, number: int) -> Entity:
    """Return somebody who says that he is Juliet, and many others."""
    jids = ["juliet@example.com", *(pattern.format(each) for each in range(number))]
    names = [x509.OtherName(XMPP_ADDRESS, tlv(0x0C, each.encode())) for each in jids]
    key = new_key()
    return Entity("many", key, certificate(key, (x509.SubjectAlternativeName(names), SIGNS)))


@dataclass(frozen=True, slots=True)
class _Half:
    """A key of which nobody has the private half."""

    public: Any

    def public_key(self) -> Any:
        return self.public


def _with_modulus(bits: int, issuer: Entity) -> Entity:
    key = _Half(rsa.RSAPublicNumbers(65537, (1 << (bits - 1)) + 1).public_key())
    return Entity("huge", key, certificate(key, (), issuer=issuer))


@case
def four_signers_and_sixteen_twins(make: Maker) -> bytes:
    """Every signature could be by any of 16 certificates with the same key identifier."""
    twins = [end_entity(key=make.pki["juliet"].key) for _ in range(16)]
    info = Reader(Signer(twins[0].key, twins[0].parsed, key_identifier=True).signer_info(b"x", MOMENT))
    fields = info.enter().elements(limit=7)
    fields[-1] = octet_string(bytes(256))
    along = tlv(CONSTRUCTED, *(each.der for each in twins))
    return an_object(make.signed(b"x", certificates=along, infos=tlv(0x31, *[sequence(*fields)] * 4)))


@case
def very_many_signers(make: Maker) -> bytes:
    return an_object(make.signed(b"x", infos=tlv(0x31, many(make.signer.signer_info(b"x", MOMENT)))))


@case
def very_many_certificates(make: Maker) -> bytes:
    return an_object(make.signed(b"x", certificates=tlv(CONSTRUCTED, many(make.pki["juliet"].der))))


@case
def tiny_certificates(make: Maker) -> bytes:
    return an_object(make.signed(b"x", certificates=tlv(CONSTRUCTED, many(b"\x30\x00"))))


@case
def large_certificates_with_many_names(make: Maker) -> bytes:
    return certificates(_with_names(f"{number}a{{}}@b.c", 4000) for number in range(12))


@case
def certificates_full_of_addresses(make: Maker) -> bytes:
    return certificates(_with_names(f"{number}é{{}}@ä.c", 480) for number in range(16))


@case
def certificates_full_of_long_addresses(make: Maker) -> bytes:
    return certificates(_with_names("é" * 400 + f"{number}{{}}@" + "ä" * 20, 17) for number in range(16))


@case
def a_signer_with_very_many_addresses(make: Maker) -> bytes:
    return make.by_stranger(_with_names("a{}@b.c", 30_000))


@case
def certificates_that_all_fit_together(make: Maker) -> bytes:
    cas = fitting(make.pki["juliet"].key)
    return certificates([*(end_entity(SIGNS, issuer=cas[0]) for _ in range(2)), *cas[1:]])


@case
def a_signer_below_costly_cas(make: Maker) -> bytes:
    leaf = end_entity(SIGNS, issuer=make.costly[0])
    return make.by_stranger(leaf, *make.costly[1:])


@case
def certificates_of_costly_cas(make: Maker) -> bytes:
    leaves = [end_entity(SIGNS, issuer=make.costly[0]) for _ in range(2)]
    return certificates([*leaves, *make.costly[1:]])


@case
def signers_with_costly_keys(make: Maker) -> bytes:
    leaf = end_entity(SIGNS, key=make.costly[0].key)
    version, _, digest, attributes, *_ = (
        Reader(make.signer.signer_info(b"x", MOMENT)).enter().elements(limit=7)
    )
    algorithm = SCHEMES["rsa-sha256"].algorithm_identifier
    name = leaf.parsed.issuer_and_serial
    info = sequence(version, name, digest, attributes, algorithm, octet_string(bytes(384)))
    return an_object(make.signed(b"x", certificates=tlv(CONSTRUCTED, leaf.der), infos=tlv(0x31, *[info] * 4)))


@case
def huge_moduli(make: Maker) -> bytes:
    return certificates([_with_modulus(bits, make.pki["p-256"]) for bits in (16_384, 65_536, 120_000)])


@case
def many_revocation_lists(make: Maker) -> bytes:
    """All of them are of the CA that Juliet's certificate is from."""
    revoked = [make.pki["romeo"]] * 1500
    lists = [revocation_list(make.pki.intermediate, *revoked, number=number) for number in range(8)]
    return an_object(make.signed(make.cpim(TEXT + b"x"), crls=tlv(CONSTRUCTED + 1, *lists)))


@case
def many_attributes(make: Maker) -> bytes:
    attributes = [sequence(oid(f"1.2.3.{number}"), tlv(0x31, b"\x05\x00")) for number in range(60_000)]
    signer = Signer(make.pki["p-256"].key, make.pki["p-256"].parsed, attributes=attributes)
    return an_object(sign(b"x", signer, signing_time=MOMENT))


@case
def a_long_signature(make: Maker) -> bytes:
    info = Reader(make.signer.signer_info(b"x", MOMENT)).enter().elements(limit=7)
    info[-1] = octet_string(sequence(integer(1 << 5_000_000), integer(1 << 5_000_000)))
    return an_object(make.signed(b"x", infos=tlv(0x31, sequence(*info))))
