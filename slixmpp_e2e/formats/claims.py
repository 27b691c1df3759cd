"""Which encrypted keys came before: what stops adaptive attacks on content that a key of ours decrypts.

Honest senders never use a content-encryption key twice (RFC 3565 2). That an encrypted key comes again with
another ciphertext is how every adaptive attack on CBC or on PKCS #1 v1.5 begins. Bounded, and in memory only.

**Not** here: whether a stanza is a replay. That is the replay record's, which knows signers and time.
"""

from typing import Final

from slixmpp_e2e.cms.algorithms import SHA256
from slixmpp_e2e.tables import Recent

#: How many encrypted keys are remembered: 12 MB.
_ARRIVED: Final = 50_000
#: And how many of those that came from an archive only.
_ARCHIVED: Final = 10_000


class ClaimedKeys:
    """Remembers encrypted keys, each with the object (a ContentInfo in DER) that bore it."""

    def __init__(self) -> None:
        self._arrived: Recent[bytes, bytes] = Recent(_ARRIVED)
        #: Apart, so that who keeps an archive can't push anything out above.
        self._archived: Recent[bytes, bytes] = Recent(_ARCHIVED)

    def __len__(self) -> int:
        return len(self._arrived) + len(self._archived)

    def claim(self, encrypted_key: bytes, der: bytes) -> bool:
        """Take note of a key that arrives; return whether it is new.

        Where the archive had the very same object before, it is new all the same.
        """
        key, object_ = SHA256.digest(encrypted_key), SHA256.digest(der)
        if key in self._arrived or self._archived.get(key) not in {None, object_}:
            return False
        self._arrived.put(key, object_)
        return True

    def claim_archived(self, encrypted_key: bytes, der: bytes) -> bool:
        """Take note of a key from an archive; return whether it is new, or bore the very same object before.

        An archive is read more than once; but who keeps it could put changed objects into it, one after the other.
        """
        key, object_ = SHA256.digest(encrypted_key), SHA256.digest(der)
        before = self._arrived.get(key) or self._archived.get(key)
        if before is None:
            self._archived.put(key, object_)
        return before in {None, object_}

    def bore(self, encrypted_key: bytes, der: bytes) -> bool:
        """Tell whether a key arrived with this very object."""
        return self._arrived.get(SHA256.digest(encrypted_key)) == SHA256.digest(der)

    def release(self, encrypted_key: bytes) -> None:
        """Forget a key that arrived: its object was not judged, and may come again."""
        self._arrived.pop(SHA256.digest(encrypted_key))
