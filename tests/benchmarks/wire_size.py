"""What a message of 200 octets of text becomes on the stream, in octets."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from tests.benchmarks.clock import Effort
from tests.benchmarks.parties import Parties, Party, make_parties
from tests.benchmarks.tables import Table
from tests.pki import Entity, make_certificate

_KILOBYTE: Final = 1000
E2E: Final = "{urn:ietf:params:xml:ns:xmpp-e2e}e2e"


@dataclass(frozen=True, slots=True)
class _Case:
    name: str
    size: int
    target: int | None = None


async def run(_effort: Effort) -> list[Table]:
    """Write each stanza as slixmpp does; the sizes of objects never vary by more than a few octets."""
    with make_parties() as parties:
        tables = [("RSA-2048", _cases(parties)), ("P-256, AES-128-GCM", _p256_cases(parties))]
    note = "A target of 1 KB is 1,000 octets here. Outer stanza whole, with hints, as the sender's stream has it."
    return [
        Table(
            f"Size on the wire, 200 octets of text, {keys}",
            ("", "octets", "target", ""),
            _rows(cases),
            (note,),
        )
        for keys, cases in tables
    ]


def _rows(cases: list[_Case]) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (
            case.name,
            f"{case.size:,}",
            "" if case.target is None else f"{case.target:,}",
            "" if case.target is None else _verdict(case.size, case.target),
        )
        for case in cases
    )


def _verdict(size: int, target: int) -> str:
    return "met" if size <= target else f"missed by {size - target:,}"


def size(party: Party, **options: str) -> Callable[[bool], int]:
    """Return what measures a message of a party, told whether the certificates go along."""

    def measured(certificates: bool) -> int:
        if not certificates:
            party.seal(party.message())
        return len(party.wire(party.seal(party.message(**options), certificates=certificates)).encode())

    return measured


def _p256_cases(parties: Parties) -> list[_Case]:
    """Both have P-256 keys; the CA's signatures in their certificates are RSA-2048 as before."""
    for name, jid in (("juliet-p256", "juliet@example.com"), ("romeo-p256", "romeo@example.net")):
        key = ec.generate_private_key(ec.SECP256R1())
        entity = Entity(name, key, make_certificate(key, jid, issuer=parties.pki.intermediate, jid=jid))
        (parties.directory / f"{name}.crt").write_bytes(entity.pem + parties.pki.intermediate.pem)
        (parties.directory / f"{name}.key").write_bytes(entity.key_pem)
    plain = parties.juliet(
        certificate=parties.directory / "juliet-p256.crt",
        private_key=parties.directory / "juliet-p256.key",
        peer_certificates=parties.directory / "romeo-p256.crt",
        cipher="aes128-gcm",
    )
    return [
        _Case("signed and encrypted", size(plain)(False), int(1.6 * _KILOBYTE)),
        _Case("the object in it, in base64", _object_size(plain), int(1.6 * _KILOBYTE)),
        _Case("with certificate and intermediate", size(plain)(True)),
        _Case("message with a thread (xmpp+xml)", size(plain, thread="4f1c")(False)),
    ]


def _object_size(party: Party) -> int:
    """Return how much of a message without certificates is the CMS object; the rest is MIME and the stanza."""
    payload = party.seal(party.message()).xml.find(E2E)
    return len(payload.text.partition("\n\n")[2])


def _cases(parties: Parties) -> list[_Case]:
    plain, signing = parties.juliet(), parties.juliet(policy={"*": "sign"})
    copying, gcm = parties.juliet(encrypt_to_self=True), parties.juliet(cipher="aes128-gcm")
    without, copied = size(plain)(False), size(copying)(False)
    return [
        _Case("unprotected", len(plain.wire(plain.message()).encode())),
        _Case("signed and encrypted", without, int(2.6 * _KILOBYTE)),
        _Case("with certificate and intermediate", size(plain)(True), 5 * _KILOBYTE),
        _Case("with a copy to ourselves", copied),
        _Case("what the copy costs", copied - without, _KILOBYTE // 2),
        _Case("message with a thread (xmpp+xml)", size(plain, thread="4f1c")(False)),
        _Case("AES-128-GCM (AuthEnvelopedData)", size(gcm)(False)),
        _Case("signed only", size(signing)(False)),
        _Case("signed only, with certificate and intermediate", size(signing)(True)),
    ]
