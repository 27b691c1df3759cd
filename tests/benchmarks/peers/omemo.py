"""python-omemo (XEP-0384, `urn:xmpp:omemo:2`): one device each, a session that stands, storage in memory.

Other cryptography for another purpose (X25519, Ed25519, a ratchet), so its ratio to the floor compares what a
message costs and nothing else. Messages go one way; each change of direction costs a further step of the
ratchet, and storage in a database costs more.
"""

import copy
import importlib
import logging
from collections import defaultdict
from importlib.metadata import version
from typing import Any

from tests.benchmarks.clock import Contestant
from tests.benchmarks.peers.peer import NotInstalledError, Peer
from tests.pki import PKI

_JIDS = ("juliet@example.com", "romeo@example.net")


async def omemo(_pki: PKI, text: bytes) -> Peer:
    """Return python-omemo, or raise `NotInstalledError`."""
    try:
        library, backend = importlib.import_module("omemo"), importlib.import_module("twomemo")
    except ImportError as error:
        raise NotInstalledError("python-omemo: not installed") from error
    logging.getLogger(library.SessionManager.LOG_TAG).setLevel(logging.ERROR)
    server = _Server()
    juliet, romeo = [await _device(library, backend, server, jid) for jid in _JIDS]
    sent: list[Any] = []

    async def encrypt(_: object = None) -> None:
        messages, errors = await juliet.encrypt(frozenset({_JIDS[1]}), {backend.twomemo.NAMESPACE: text})
        assert not errors
        sent.extend(messages)

    async def decrypt(message: Any) -> bytes | None:
        plaintext: bytes | None = (await romeo.decrypt(message))[0]
        return plaintext

    async def deliver() -> None:
        """Let nothing lie about: keys of messages that were skipped would pile up."""
        for message in sent:
            assert await decrypt(message) == text
        sent.clear()
        for message, jid in server.take_automatic():
            await (juliet if jid == _JIDS[0] else romeo).decrypt(message)

    async def ready(calls: int) -> list[None]:
        await deliver()
        return [None] * calls

    async def messages(calls: int) -> list[Any]:
        await deliver()
        for _ in range(calls):
            await encrypt()
        made = list(sent)
        sent.clear()
        return made

    await juliet.refresh_device_lists(_JIDS[1])
    await romeo.refresh_device_lists(_JIDS[0])
    for _ in range(3):  # the handshake
        await encrypt()
        await deliver()
    name = f"python-omemo {version('OMEMO')}, one way"
    return Peer(
        (Contestant(name, encrypt, ready),),
        (Contestant(name, decrypt, messages),),
        ("python-omemo: one device each, storage in memory, no XML; another kind of cryptography.",),
    )


class _Server:
    """Device lists, bundles, and what the library sends by itself."""

    def __init__(self) -> None:
        self.devices: dict[tuple[str, str], Any] = defaultdict(dict)
        self.bundles: dict[tuple[str, str, int], Any] = {}
        self._automatic: list[tuple[Any, str]] = []

    def send(self, message: Any, jid: str) -> None:
        self._automatic.append((message, jid))

    def take_automatic(self) -> list[tuple[Any, str]]:
        found, self._automatic = self._automatic, []
        return found


async def _device(library: Any, backend: Any, server: _Server, own_jid: str) -> Any:
    class Memory(library.Storage):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self._values: dict[str, Any] = {}

        async def _load(self, key: str) -> Any:
            if key not in self._values:
                return library.Nothing()
            return library.Just(copy.deepcopy(self._values[key]))

        async def _store(self, key: str, value: Any) -> None:
            self._values[key] = value

        async def _delete(self, key: str) -> None:
            self._values.pop(key, None)

    class Manager(library.SessionManager):  # type: ignore[misc]
        @staticmethod
        async def _upload_bundle(bundle: Any) -> None:
            server.bundles[bundle.namespace, bundle.bare_jid, bundle.device_id] = bundle

        @staticmethod
        async def _download_bundle(namespace: str, bare_jid: str, device_id: int) -> Any:
            return server.bundles[namespace, bare_jid, device_id]

        @staticmethod
        async def _delete_bundle(namespace: str, device_id: int) -> None:
            server.bundles.pop((namespace, own_jid, device_id), None)

        @staticmethod
        async def _upload_device_list(namespace: str, device_list: Any) -> None:
            server.devices[namespace, own_jid] = device_list

        @staticmethod
        async def _download_device_list(namespace: str, bare_jid: str) -> Any:
            return server.devices[namespace, bare_jid]

        async def _evaluate_custom_trust_level(self, _device: Any) -> Any:
            return library.TrustLevel.TRUSTED

        async def _make_trust_decision(self, _undecided: Any, _identifier: str | None) -> None:
            raise AssertionError("every device is trusted")

        @staticmethod
        async def _send_message(message: Any, bare_jid: str) -> None:
            server.send(message, bare_jid)

    storage = Memory()
    manager = await Manager.create([backend.Twomemo(storage)], storage, own_jid, None, "trusted")
    await manager.after_history_sync()
    return manager
