"""A mode of ours: signed as RFC 3923 has it, encrypted as draft-miller-3923bis-02 has it.

The draft signs nothing (ERRATA B16). Here the stanza that is encrypted is the one that would have carried the signed
object in clear: same kind, type and addresses, and in it the `<e2e/>` of RFC 3923 with a multipart/signed. Who knows
both formats and not this mode finds such a stanza when he has decrypted it, and nothing else.

Once it is decrypted, the inner `<e2e/>` is opened by the reader of RFC 3923, by the rules for what is only signed:
nothing in it is decrypted, the signature covers addresses and time, and they are compared with the outer stanza, the
one that the servers vouch for. What stands beside the inner `<e2e/>` is signed by nobody, and dropped. One layer of
each: nothing is opened recursively.

The signed timestamp is the one that counts; that of `<plain/>` nobody vouches for, and it has to be fresh as well.
"""

import os
from typing import NoReturn
from xml.etree.ElementTree import Element, SubElement

from slixmpp.jid import JID

from slixmpp_e2e.cms.algorithms import Random
from slixmpp_e2e.cms.certificates import SignerPool
from slixmpp_e2e.cms.recipients import DecryptionKeys
from slixmpp_e2e.cms.signed_data import Signer
from slixmpp_e2e.errors import CertificatesOnlyError, RemoteError, SignatureError, UndecryptableError
from slixmpp_e2e.formats import objenc, rfc3923
from slixmpp_e2e.outer import E2E_TAG, payload

# --------------------------------------------------------------------------- writing


def protect_signed(
    stanza: Element,
    sealing: objenc.Sealing,
    signer: Signer,
    *,
    sender: JID,
    recipient: JID,
    moment: int,
    certificates: bool = True,
    random: Random = os.urandom,
) -> Element:
    """Return the `<e2e/>` element of the draft for a stanza, signed inside; both are dated `moment`.

    With `certificates` the signer's certificate and its chain go along. Raises what `objenc.protect` and
    `rfc3923.protect` raise.
    """
    signing = rfc3923.Sealing(signer, (), certificates=certificates)
    text = rfc3923.protect(stanza, signing, sender=sender, recipient=recipient, moment=moment, random=random)
    carrier = wrap_signed(stanza, text)
    return objenc.protect(carrier, sealing, sender=sender, recipient=recipient, moment=moment, random=random)


def wrap_signed(stanza: Element, text: str) -> Element:
    """Return the stanza that carries the text of an RFC 3923 `<e2e/>` instead of what is in `stanza`.

    It has the attributes of `stanza`, and `<e2e/>` alone.
    """
    carrier = Element(stanza.tag, stanza.attrib)
    SubElement(carrier, E2E_TAG).text = text
    return carrier


# --------------------------------------------------------------------------- reading


def signed_text(stanza: Element) -> str | None:
    """Return the text of the RFC 3923 `<e2e/>` directly in a decrypted stanza; None where there is none.

    Raises a concealed `MalformedError` where there are several, or elements in it.
    """
    if stanza.find(E2E_TAG) is None:
        return None
    try:
        return payload(stanza)
    except RemoteError as error:
        error.conceal()
        raise


def open_signed(
    text: str, opened: objenc.Opened, pool: SignerPool, *, allow_sha1: bool = False
) -> rfc3923.Opened:
    """Verify the signed object that stood in `opened`; raise a concealed `RemoteError`.

    The result says what was signed, and how it was decrypted; it is read with `content.read_content` and the outer
    stanza. Who the signer is has not been decided yet. Another envelope, or certificates alone, is a `SignatureError`
    (`unsigned`).
    """
    opener = rfc3923.Opener(DecryptionKeys(), pool, _never, _never, allow_sha1=allow_sha1)
    try:
        try:
            found = opener.open_object(text)
        except (UndecryptableError, CertificatesOnlyError):
            raise SignatureError("the object in it is not signed", reason="unsigned") from None
    except RemoteError as error:
        error.conceal()
        raise
    return found._replace(decrypted=opened.decrypted)


def _never(*_: object) -> NoReturn:
    raise AssertionError("without keys nothing is decrypted")
