"""The endpoint comes to the same end as the plugin with every stanza that others made."""

import datetime as dt
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest
from slixmpp.jid import JID

from slixmpp_e2e.certificates.identity import load_pem
from slixmpp_e2e.certificates.store import MemoryStore
from slixmpp_e2e.endpoint import Endpoint
from slixmpp_e2e.errors import E2EError
from slixmpp_e2e.freshness import from_datetime
from slixmpp_e2e.plugin.configuration import DEFAULTS, build_protection
from slixmpp_e2e.policy import read_policy

from . import judge
from .adapter import describe, revocation_options
from .test_vectors import BASE, MANIFEST, NOT_READ, OTHERWISE, VECTORS, as_run, assert_nothing_is_read

#: Nobody tells an endpoint that a message was stored (`delayed_since`), so it is old.
UNTOLD = {
    each: ["step 1: not delivered (old: 10800 seconds old; reply None)"]
    for each in ("obj-b-ts-delay-ok", "obj-b-seq-delay-replay")
}


class Adapter:
    """See the protocol in the docstring of `judge.py`."""

    def supports(self, option: str) -> bool:
        """Tell which receiver options and operations there are."""
        return option in {"require_signature", "allow_sha1", "check_crl", "send_errors"}

    def new(self, config: dict, _state_dir: Path) -> "Receiver":
        """Return a fresh receiver."""
        return Receiver(config)


class Receiver:
    """An endpoint with its clock frozen, told of delayed delivery by nobody."""

    def __init__(self, config: dict) -> None:
        self.now = 0
        self.config = config
        options = config["options"]
        pairs = [pair for pair in config["keys"] if "rsa1024" not in pair[0]] or [
            ["pki/romeo-rsa2048.crt", "pki/romeo-rsa2048.key"]
        ]
        (certificate, key), *older = [[BASE / each for each in pair] for pair in pairs]
        protection = build_protection(
            {
                **DEFAULTS,
                "certificate": certificate,
                "private_key": key,
                "trust_anchors": [BASE / each for each in config["trust"]] or None,
                "intermediates": [BASE / each for each in config["intermediates"]] or None,
                "peer_certificates": [BASE / each for each in config["peer_certs"]] or None,
                "pins": {jid: BASE / files[0] for jid, files in config["pinned"].items()} or None,
                **revocation_options(BASE, config),
                "store": MemoryStore(started=0),
                "allow_sha1": options["allow_sha1"],
                "allow_objenc_pkcs1": config.get("allow_objenc_pkcs1", False),
                "clock": lambda: self.now,
            }
        )
        for pair in older:
            protection.add_decryption_key(load_pem(*(each.read_bytes() for each in pair)))
        level = "opportunistic" if options["require_signature"] else "encrypt-unsigned"
        policy = read_policy({"*": {"message": "off", "inbound": level}})
        self.endpoint = Endpoint.over(protection, policy=policy)

    def receive(self, xml: bytes, clock: str) -> dict:
        """Feed one stanza in."""
        self.now = from_datetime(dt.datetime.fromisoformat(clock))
        try:
            found = self.endpoint.unprotect(xml)
        except E2EError as error:
            unprotected = error.reason == "unprotected"
            return {
                "delivered": [],
                "replies": [] if unprotected else self._replies(error, xml),
                "passthrough": unprotected,
                "why": f"{error.reason}: {error}",
            }
        return {
            "delivered": [describe(found.stanza, found.report)],
            "replies": [],
            "passthrough": False,
            "why": "",
        }

    def _replies(self, error: E2EError, xml: bytes) -> list[str]:
        answer = self.endpoint.answer_to(error, xml) if self.config["options"]["send_errors"] else None
        if answer is None:
            return []
        error = fromstring(answer)
        told = error.tag.endswith("}iq") or self._trusts(JID(error.get("to")))
        return [answer] if told else []  # ERRATA E05

    def _trusts(self, jid: JID) -> bool:
        return self.endpoint.protection.trusts_somebody_as(jid)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_it_ends_as_the_manifest_says(vector):
    result = judge.run_vector(Adapter(), MANIFEST, as_run(vector), BASE)
    if result["status"] == "n/a":
        assert "restart" in result["why"]  # that is the store's part, and the plugin's tests have it
        return
    if vector["id"].startswith(NOT_READ):
        assert_nothing_is_read(result)
        return
    assert result["fails"] == UNTOLD.get(vector["id"], OTHERWISE.get(vector["id"], []))
