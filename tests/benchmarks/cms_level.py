"""CMS objects: sign and encrypt, decrypt and verify, beside the primitives and beside other implementations."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from slixmpp_e2e.cms.algorithms import AES128_CBC, AES128_GCM, ContentCipher
from slixmpp_e2e.cms.certificates import CertificatePool
from slixmpp_e2e.cms.enveloped_data import encrypt, parse_enveloped_data
from slixmpp_e2e.cms.recipients import DecryptionKeys, recipient_for
from slixmpp_e2e.cms.signed_data import Signer, sign
from tests.benchmarks import peers
from tests.benchmarks.agreement_floor import AgreementFloor
from tests.benchmarks.clock import Contestant, Effort, measure
from tests.benchmarks.floor import Floor
from tests.benchmarks.peers.openssl import openssl
from tests.benchmarks.tables import Table, timing_table
from tests.cms.composition import unprotect
from tests.pki import PKI, Entity, make_certificate, make_pki

TEXT: Final = b"x" * 200
_FLOOR: Final = "floor"


@dataclass(frozen=True, slots=True)
class _Profile:
    """Whose keys, which algorithms, and who else can do it."""

    what: str
    signer: Entity
    recipient: Entity
    cipher: ContentCipher
    floor: type[Floor | AgreementFloor]
    #: The largest ratios to the floor that are aimed at, out and in.
    targets: tuple[float | None, float | None]
    others: tuple[Callable[[PKI, bytes], Awaitable[peers.Peer]], ...] = ()


def _profiles(pki: PKI) -> list[_Profile]:
    curve = ec.SECP256R1()
    signer, recipient = (
        Entity(jid, key, make_certificate(key, jid, issuer=pki.intermediate, jid=jid))
        for jid in ("juliet@example.com", "romeo@example.net")
        for key in (ec.generate_private_key(curve),)
    )

    async def openssl_on_p256(_: PKI, text: bytes) -> peers.Peer:
        return await openssl(
            PKI(pki.root, pki.intermediate, {"juliet": signer, "romeo": recipient}), text, gcm=True
        )

    return [
        _Profile(
            "RSA-2048 v1.5, SHA-256, AES-128-CBC; 200 octets, opaque SignedData in EnvelopedData, DER",
            pki["juliet"],
            pki["romeo"],
            AES128_CBC,
            Floor,
            (1.10, 1.15),
            peers.ALL,
        ),
        _Profile(
            "P-256, SHA-256, AES-128-GCM; 200 octets, opaque SignedData in AuthEnvelopedData, DER",
            signer,
            recipient,
            AES128_GCM,
            AgreementFloor,
            (None, None),
            (openssl_on_p256,),
        ),
        _Profile(
            "Ed25519, X25519, AES-128-GCM; 200 octets, opaque SignedData in AuthEnvelopedData, DER",
            pki["ed25519"],
            pki["x25519"],
            AES128_GCM,
            AgreementFloor,
            (None, None),
        ),
    ]


async def run(effort: Effort) -> list[Table]:
    """Measure both ways with each profile."""
    pki = make_pki()
    return [table for profile in _profiles(pki) for table in await _measure(profile, pki, effort)]


async def _measure(profile: _Profile, pki: PKI, effort: Effort) -> list[Table]:
    outward, inward = _ours(profile, pki)
    notes = []
    for peer in profile.others:
        try:
            theirs = await peer(pki, TEXT)
        except peers.NotInstalledError as error:
            notes.append(str(error))
            continue
        outward += (replace(each, floor=_FLOOR) for each in theirs.outward)
        inward += (replace(each, floor=_FLOOR) for each in theirs.inward)
        notes += theirs.notes
    return [
        timing_table(f"{way}: {profile.what}", contestants, await measure(contestants, effort), *notes)
        for way, contestants in (("Sign and encrypt", outward), ("Decrypt and verify", inward))
    ]


def _ours(profile: _Profile, pki: PKI) -> tuple[list[Contestant], list[Contestant]]:
    juliet, romeo, chain = profile.signer, profile.recipient, [pki.intermediate.parsed]
    known = juliet.parsed
    recipients = [recipient_for(romeo.parsed)]
    keys = DecryptionKeys([(romeo.key, romeo.parsed)])
    pool = CertificatePool([known])
    short, full = Signer(juliet.key, known, chain, key_identifier=True), Signer(juliet.key, known, chain)

    def protect(signer: Signer, *, certificates: bool) -> bytes:
        moment = datetime.now(UTC)
        signed = sign(TEXT, signer, signing_time=moment, certificates=certificates)
        return encrypt(signed, recipients, cipher=profile.cipher)

    omitted, embedded = protect(short, certificates=False), protect(full, certificates=True)
    assert unprotect(omitted, keys, pool)[0] == unprotect(embedded, keys, pool)[0] == TEXT
    size = len(parse_enveloped_data(omitted).decrypt(keys).plaintext)
    floor = profile.floor(juliet.key, romeo.key, len(TEXT), size)
    out, into = profile.targets

    def written(signer: Signer, *, certificates: bool) -> Callable[[object], bytes]:
        return lambda _: protect(signer, certificates=certificates)

    return (
        [
            Contestant(_FLOOR, floor.outward()),
            Contestant("certificate omitted", written(short, certificates=False), floor=_FLOOR, target=out),
            Contestant(
                "certificate and intermediate embedded",
                written(full, certificates=True),
                floor=_FLOOR,
                target=out,
            ),
        ],
        [
            Contestant(_FLOOR, floor.inward()),
            Contestant(
                "certificate omitted, known",
                lambda _: unprotect(omitted, keys, pool),
                floor=_FLOOR,
                target=into,
            ),
            Contestant(
                "certificate and intermediate embedded, seen before",
                lambda _: unprotect(embedded, keys, pool),
                floor=_FLOOR,
                target=into,
            ),
            Contestant(
                "certificate and intermediate embedded, new",
                lambda _: unprotect(embedded, keys, CertificatePool()),
                floor=_FLOOR,
            ),
        ],
    )
