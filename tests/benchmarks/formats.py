"""One message in each format: draft-miller-3923bis-02 beside RFC 3923, from stanza to `<e2e/>` and back, and size.

Before that, the same message through the whole plugin (`side_by_side`).

**Not** in the rest: who the signer is, the replay record, and the outer stanza.
"""

import hmac
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from xml.etree.ElementTree import Element, fromstring

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from slixmpp.jid import JID

from slixmpp_e2e.cms.certificates import CertificatePool
from slixmpp_e2e.cms.recipients import RSA_OAEP_SHA256, DecryptionKeys, KeyTransportRecipient
from slixmpp_e2e.cms.signed_data import Signer
from slixmpp_e2e.formats import content, objenc, objenc_signed, rfc3923
from slixmpp_e2e.freshness import from_datetime
from slixmpp_e2e.namespaces import CLIENT
from slixmpp_e2e.outer import E2E_TAG
from slixmpp_e2e.stanza import Outer, serialise
from tests.benchmarks import side_by_side
from tests.benchmarks.clock import Contestant, Effort, measure
from tests.benchmarks.tables import Table, timing_table
from tests.pki import MOMENT, PKI, make_pki

JULIET: Final = JID("juliet@example.com/balcony")
ROMEO: Final = JID("romeo@example.net/orchard")
NOW: Final = from_datetime(MOMENT)
_OUTER: Final = Outer("message", "chat", "outer", JULIET, ROMEO)
_FLOOR: Final = "floor: RSA-OAEP, AES-128-CBC, HMAC"
_MESSAGE: Final = (
    f"<message xmlns='{CLIENT}' from='{JULIET}' to='{ROMEO}' type='chat'><body>{'x' * 200}</body></message>"
)


@dataclass(frozen=True, slots=True)
class _Way:
    """A format, and whether it signs."""

    write: Callable[[], Element]
    read: Callable[[Element], Any]


async def run(effort: Effort) -> list[Table]:
    """Measure the whole ways side by side; then both ways of the objects alone, and their size."""
    side_by_side_table = await side_by_side.run(effort)
    pki = make_pki()
    ways = _ways(pki)
    written = {name: way.write() for name, way in ways.items()}
    out, into = _floors(pki, written["draft-miller-3923bis-02"])
    outward = [Contestant(_FLOOR, out)]
    inward = [Contestant(_FLOOR, into)]
    for name, way in ways.items():
        outward.append(Contestant(name, lambda _, way=way: way.write(), floor=_FLOOR))
        inward.append(Contestant(name, lambda _, way=way, name=name: way.read(written[name]), floor=_FLOOR))
    what = "(RSA-2048 with OAEP, AES-128-CBC, 200 octets of text)"
    return [
        side_by_side_table,
        timing_table(f"Formats, writing {what}", outward, await measure(outward, effort)),
        timing_table(f"Formats, reading {what}", inward, await measure(inward, effort)),
        Table(
            f"Formats, size {what}",
            ("", "octets"),
            tuple((name, f"{len(serialise(each).encode()):,}") for name, each in written.items()),
            ("The `<e2e/>` element alone; certificates are left out.",),
        ),
    ]


def _floors(pki: PKI, element: Element) -> tuple[Callable[[object], Any], Callable[[object], Any]]:
    """Return what the primitives have to do for an object of the draft."""
    public, private = pki["romeo"].key.public_key(), pki["romeo"].key
    data = bytes(len(element[1].text or "") * 3 // 4 // 16 * 16 - 16)
    encrypted_key = public.encrypt(bytes(16), RSA_OAEP_SHA256.padding)

    def out(_: object) -> None:
        key = os.urandom(16)
        public.encrypt(key, RSA_OAEP_SHA256.padding)
        Cipher(algorithms.AES(key), modes.CBC(os.urandom(16))).encryptor().update(data)
        hmac.digest(data, key, "sha256")

    def into(_: object) -> None:
        key = private.decrypt(encrypted_key, RSA_OAEP_SHA256.padding)
        hmac.digest(data, key, "sha256")
        Cipher(algorithms.AES(key), modes.CBC(bytes(16))).decryptor().update(data)

    return out, into


def _ways(pki: PKI) -> Mapping[str, _Way]:
    juliet, romeo = pki["juliet"].parsed, pki["romeo"].parsed
    keys = DecryptionKeys([(pki["romeo"].key, romeo)])
    pool = CertificatePool([juliet])
    signer = Signer(pki["juliet"].key, juliet, [], key_identifier=True)
    to = KeyTransportRecipient(romeo, transport=RSA_OAEP_SHA256)
    sealing = objenc.Sealing(romeo)
    message = fromstring(_MESSAGE)
    addressed: dict[str, Any] = {"sender": JULIET, "recipient": ROMEO, "moment": NOW}

    def write_smime(signer: Signer | None) -> Element:
        element = Element(E2E_TAG)
        how = rfc3923.Sealing(signer, (to,), certificates=False)
        element.text = rfc3923.protect(message, how, **addressed)
        return element

    def read_smime(element: Element) -> content.Content:
        opener = rfc3923.Opener(keys, pool, lambda *_: None, lambda *_: True, allow_unsigned=True)
        opened = opener.open_object(element.text or "")
        time = opened.signer.signing_time if opened.signer else None
        return content.read_content(opened.content, _OUTER, signing_time=time)

    def read_string(element: Element) -> content.Content:
        opened = objenc.Opener(keys, lambda *_: True).open_object(element)
        found = objenc.read_content(opened, _OUTER)
        text = objenc_signed.signed_text(found.stanza)
        if text is None:
            return found
        signed = objenc_signed.open_signed(text, opened, pool)
        assert signed.signer is not None
        return content.read_content(signed.content, _OUTER, signing_time=signed.signer.signing_time)

    return {
        "draft-miller-3923bis-02": _Way(lambda: objenc.protect(message, sealing, **addressed), read_string),
        "RFC 3923, unsigned": _Way(lambda: write_smime(None), read_smime),
        "draft-miller-3923bis-02, signed inside": _Way(
            lambda: objenc_signed.protect_signed(message, sealing, signer, certificates=False, **addressed),
            read_string,
        ),
        "RFC 3923, signed": _Way(lambda: write_smime(signer), read_smime),
    }
