"""slixmpp-omemo (XEP-0384) as a program sets it up: every device is trusted at first sight, storage in memory.

Importing this needs the package (`peers.txt`).
"""

from typing import Any, Final

import slixmpp
from omemo.storage import Just, Nothing, Storage
from slixmpp.plugins import register_plugin
from slixmpp_omemo import XEP_0384

#: The version of OMEMO that slixmpp-omemo writes.
AXOLOTL: Final = "eu.siacs.conversations.axolotl"


class _Memory(Storage):
    def __init__(self) -> None:
        super().__init__()
        self._values: dict[str, Any] = {}

    async def _load(self, key: str) -> Any:
        return Just(self._values[key]) if key in self._values else Nothing()

    async def _store(self, key: str, value: Any) -> None:
        self._values[key] = value

    async def _delete(self, key: str) -> None:
        self._values.pop(key, None)


class TrustingOMEMO(XEP_0384):
    """The plugin of a program that asks nobody."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._memory = _Memory()

    @property
    def storage(self) -> Storage:
        return self._memory

    @property
    def _btbv_enabled(self) -> bool:
        return True

    async def _devices_blindly_trusted(self, _devices: Any, _identifier: str | None) -> None:
        pass

    async def _prompt_manual_trust(self, _devices: Any, _identifier: str | None) -> None:
        raise AssertionError("every device is trusted")


register_plugin(TrustingOMEMO)


async def encrypted(sender: slixmpp.ClientXMPP, to: str, body: str) -> slixmpp.Message:
    """Return a message that OMEMO has encrypted for a bare JID, tagged (XEP-0380) as its documentation has it."""
    plain = sender.make_message(to, body, mtype="chat")
    message, errors = await sender.plugin["xep_0384"].encrypt_message(plain, {slixmpp.JID(to)})
    assert not errors
    sender.plugin["xep_0380"].add_eme(message, AXOLOTL)
    return message


async def decrypted(receiver: slixmpp.ClientXMPP, message: slixmpp.Message) -> slixmpp.Message:
    """Return what OMEMO makes of a message."""
    found, _ = await receiver.plugin["xep_0384"].decrypt_message(message)
    return found


async def wind_up(client: slixmpp.ClientXMPP) -> None:
    """End the tasks of a client's OMEMO, if it has any."""
    if "xep_0384" in client.plugin:
        await (await client.plugin["xep_0384"].get_session_manager()).shutdown()
