"""CMS objects: sign and encrypt, decrypt and verify, beside the primitives and beside other implementations."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from slixmpp_e2e.cms.certificates import CertificatePool
from slixmpp_e2e.cms.enveloped_data import encrypt, parse_enveloped_data
from slixmpp_e2e.cms.recipients import DecryptionKeys, KeyTransportRecipient
from slixmpp_e2e.cms.signed_data import Signer, sign
from tests.benchmarks import peers
from tests.benchmarks.clock import Contestant, Effort, measure
from tests.benchmarks.floor import Floor
from tests.benchmarks.tables import Table, timing_table
from tests.cms.composition import unprotect
from tests.pki import PKI, make_pki

TEXT: Final = b"x" * 200
_FLOOR: Final = "floor"


async def run(effort: Effort) -> list[Table]:
    """Measure both ways."""
    pki = make_pki()
    outward, inward = _ours(pki)
    notes = []
    for peer in peers.ALL:
        try:
            theirs = await peer(pki, TEXT)
        except peers.NotInstalledError as error:
            notes.append(str(error))
            continue
        outward += (replace(each, floor=_FLOOR) for each in theirs.outward)
        inward += (replace(each, floor=_FLOOR) for each in theirs.inward)
        notes += theirs.notes
    what = "RSA-2048 v1.5, SHA-256, AES-128-CBC; 200 octets, opaque SignedData in EnvelopedData, DER"
    return [
        timing_table(f"{way}: {what}", contestants, await measure(contestants, effort), *notes)
        for way, contestants in (("Sign and encrypt", outward), ("Decrypt and verify", inward))
    ]


def _ours(pki: PKI) -> tuple[list[Contestant], list[Contestant]]:
    juliet, romeo, chain = pki["juliet"], pki["romeo"], [pki.intermediate.parsed]
    known = juliet.parsed
    recipients = [KeyTransportRecipient(romeo.parsed)]
    keys = DecryptionKeys([(romeo.key, romeo.parsed)])
    pool = CertificatePool([known])
    short, full = Signer(juliet.key, known, chain, key_identifier=True), Signer(juliet.key, known, chain)

    def protect(signer: Signer, *, certificates: bool) -> bytes:
        moment = datetime.now(UTC)
        signed = sign(TEXT, signer, signing_time=moment, certificates=certificates)
        return encrypt(signed, recipients)

    omitted, embedded = protect(short, certificates=False), protect(full, certificates=True)
    assert unprotect(omitted, keys, pool)[0] == unprotect(embedded, keys, pool)[0] == TEXT
    size = len(parse_enveloped_data(omitted).decrypt(keys).plaintext)
    floor = Floor(juliet.key, romeo.key, len(TEXT), size)
    return (
        [
            Contestant(_FLOOR, floor.outward()),
            Contestant(
                "certificate omitted",
                lambda _: protect(short, certificates=False),
                floor=_FLOOR,
                target=1.10,
            ),
            Contestant(
                "certificate and intermediate embedded",
                lambda _: protect(full, certificates=True),
                floor=_FLOOR,
                target=1.10,
            ),
        ],
        [
            Contestant(_FLOOR, floor.inward()),
            Contestant(
                "certificate omitted, known",
                lambda _: unprotect(omitted, keys, pool),
                floor=_FLOOR,
                target=1.15,
            ),
            Contestant(
                "certificate and intermediate embedded, seen before",
                lambda _: unprotect(embedded, keys, pool),
                floor=_FLOOR,
                target=1.15,
            ),
            Contestant(
                "certificate and intermediate embedded, new",
                lambda _: unprotect(embedded, keys, CertificatePool()),
                floor=_FLOOR,
            ),
        ],
    )
