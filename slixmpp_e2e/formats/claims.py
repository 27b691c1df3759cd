"""Which encrypted keys came before: what stops adaptive attacks on content that a key of ours decrypts.

Honest senders never use a content-encryption key twice (RFC 3565 2). That an encrypted key comes again with
another ciphertext is how every adaptive attack on CBC or on PKCS #1 v1.5 begins. Bounded, and in memory only.

**Not** here: whether a stanza is a replay. That is the replay record's, which knows signers and time.
"""

from types import TracebackType
from typing import Final

from slixmpp_e2e.cms.algorithms import SHA256
from slixmpp_e2e.errors import RemoteError, StoreError
from slixmpp_e2e.tables import Recent
from slixmpp_e2e.waiting import NotYet

#: How many encrypted keys are remembered: 15 MB.
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


class Claims:
    """The keys of one object, taken note of while it is judged, within a `with`.

    A `RemoteError` that leaves it is marked `silent` where something came again and `silent` is asked for; after
    a `StoreError`, or what has to be waited for, nothing was judged, and the object may come again: unless that would
    say that it was decrypted (`StoreError.concealed`).
    """

    def __init__(
        self, keys: ClaimedKeys, *, archived: bool = False, show_repeated: bool = False, silent: bool = False
    ) -> None:
        self._keys = keys
        self._archived = archived
        self._show_repeated = show_repeated
        self._silent = silent
        self._repeated = False
        self._taken: list[bytes] = []

    def claim(self, encrypted_key: bytes, der: bytes) -> bool:
        """See `formats.rfc3923.Opener.claim`."""
        if self._archived:
            return self._keys.claim_archived(encrypted_key, der)
        if self._keys.claim(encrypted_key, der):
            self._taken.append(encrypted_key)
            return True
        self._repeated = True
        return self._show_repeated and self._keys.bore(encrypted_key, der)

    def release(self) -> None:
        """Forget them: the object may come again."""
        for encrypted_key in self._taken:
            self._keys.release(encrypted_key)
        self._taken.clear()

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, NotYet) or (isinstance(error, StoreError) and not error.concealed):
            self.release()
        elif isinstance(error, RemoteError) and self._repeated and self._silent:
            error.silent = True
