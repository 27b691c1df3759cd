"""The choices that a program has about algorithms and time."""

from dataclasses import dataclass

from slixmpp_e2e.cms.algorithms import ContentCipher
from slixmpp_e2e.cms.recipients import KeyTransport
from slixmpp_e2e.freshness import WINDOW


@dataclass(frozen=True, slots=True)
class Options:
    """The choices that are left open."""

    #: None: what all recipients have announced, AES-128-CBC where they have not (ERRATA E30).
    cipher: ContentCipher | None = None
    #: For RSA keys. None: OAEP where the recipient has announced it, else PKCS #1 v1.5.
    transport: KeyTransport | None = None
    #: Accept SHA-1 signatures (RFC 3923 6.10); they are reported as legacy.
    allow_sha1: bool = False
    #: Decrypt Triple-DES; it is never written, and reported as legacy.
    allow_3des: bool = False
    #: Read the forms of draft-ietf-xmpp-e2e-03 (ERRATA E47); they are never written.
    allow_early_draft: bool = False
    #: Read keys that draft-miller-3923bis-02 encrypted with PKCS #1 v1.5 (ERRATA B06); they are never written so.
    allow_objenc_pkcs1: bool = False
    #: Encrypt to our own certificates too, so that copies of what we sent stay readable.
    encrypt_to_self: bool = False
    #: Open an encrypted object that came before, to show it as seen, and say nothing about it.
    open_repeated: bool = False
    #: Nanoseconds that a timestamp may be off (RFC 3923 6.9).
    window: int = WINDOW
