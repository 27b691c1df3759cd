"""Runs the vectors through the plugin: a real client that is not connected, with its clock frozen."""

import asyncio
import datetime as dt
import ssl
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import slixmpp
from slixmpp.xmlstream.tostring import tostring

import slixmpp_e2e

CLIENT = "{jabber:client}"
XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"


class Adapter:
    """See the protocol in the docstring of `judge.py`."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.loop = asyncio.new_event_loop()
        self._receivers: list[Receiver] = []

    def close_receivers(self) -> None:
        """Close the stores of all receivers so far."""
        while self._receivers:
            self._receivers.pop().xmpp.plugin.disable("e2e")

    def supports(self, option: str) -> bool:
        """Tell which receiver options and operations there are."""
        return option in {"require_signature", "allow_sha1", "check_crl", "send_errors", "restart"}

    def new(self, config: dict, state_dir: Path) -> "Receiver":
        """Return a fresh receiver."""
        receiver = Receiver(self.base, config, state_dir, self.loop)
        self._receivers.append(receiver)
        return receiver


class Receiver:
    """One client with the plugin."""

    def __init__(self, base: Path, config: dict, state_dir: Path, loop: asyncio.AbstractEventLoop) -> None:
        self.base, self.config, self.state_dir = base, config, state_dir
        self.now = 0
        self.xmpp: slixmpp.ClientXMPP | None = None
        self.loop = loop
        self.sent: list = []
        self.delivered: list = []
        self.why = ""
        self.restart()

    async def _start(self) -> None:
        base, config = self.base, self.config
        options = config["options"]
        unused_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # reading the root certificates takes long
        xmpp = self.xmpp = slixmpp.ClientXMPP(config["jid"], "secret", ssl_context=unused_tls)
        pins = {jid: base / files[0] for jid, files in config["pinned"].items()}
        # a key that is too weak can't be configured at all: then the receiver is one with another key
        keys = [each for each in config["keys"] if "rsa1024" not in each[0]] or [
            ["pki/romeo-rsa2048.crt", "pki/romeo-rsa2048.key"]
        ]
        certificate, key = (base / each for each in keys[0])
        policy = "opportunistic" if options["require_signature"] else "encrypt-unsigned"
        xmpp.register_plugin(
            "e2e",
            {
                "certificate": certificate,
                "private_key": key,
                "trust_anchors": [base / each for each in config["trust"]] or None,
                "intermediates": [base / each for each in config["intermediates"]] or None,
                "peer_certificates": [base / each for each in config["peer_certs"]] or None,
                "pins": pins or None,
                **revocation_options(base, config),
                "store": f"sqlite:///{self.state_dir / 'store.db'}",
                "policy": {"*": {"message": "off", "inbound": policy}},
                "allow_sha1": options["allow_sha1"],
                "send_errors": options["send_errors"],
                "allow_early_draft": config.get("early_draft", False),
                "allow_objenc_pkcs1": config.get("allow_objenc_pkcs1", False),
                "clock": lambda: self.now,
            },
            module=slixmpp_e2e,
        )
        plugin = xmpp.plugin["e2e"]
        for more in keys[1:]:
            from slixmpp_e2e.certificates.identity import load_pem

            old = load_pem(*((base / each).read_bytes() for each in more))
            plugin.protection.add_decryption_key(old)
        xmpp.bound_jid = None
        xmpp.boundjid.full = config["jid"]
        xmpp.send = lambda stanza, use_filters=True: self.sent.append(stanza)
        xmpp.add_event_handler("e2e_error", self._refused)
        xmpp.add_filter("in", self._catch)

    def _refused(self, failure) -> None:
        self.why = f"{failure.reason}: {failure.error}"

    def _catch(self, stanza):
        self.delivered.append(stanza)

    def restart(self) -> None:
        """Start, and forget everything but the state directory."""
        if self.xmpp is not None:
            self.xmpp.plugin.disable("e2e")
        self.loop.run_until_complete(self._start())  # slixmpp would make a loop of its own

    def receive(self, xml: bytes, clock: str) -> dict:
        """Feed one stanza in."""
        moment = dt.datetime.fromisoformat(clock)
        self.now = int(moment.timestamp() * 1000) * 1_000_000
        self.sent.clear()
        self.delivered.clear()
        self.why = ""
        try:
            element = ET.fromstring(xml)
        except ET.ParseError as error:
            return {
                "delivered": [],
                "replies": [],
                "passthrough": False,
                "why": f"no stream survives this: {error}",
            }
        self.xmpp._spawn_event(element)
        self.loop.run_until_complete(asyncio.sleep(0))
        reports = [(stanza, self.xmpp.plugin["e2e"].report(stanza)) for stanza in self.delivered]
        return {
            "delivered": [describe(stanza.xml, report) for stanza, report in reports if report],
            "passthrough": any(report is None for _, report in reports),
            "replies": [tostring(stanza.xml) for stanza in self.sent],
            "why": self.why,
        }


def revocation_options(base: Path, config: dict) -> dict:
    """Return how the collection wants it: who is on a list is refused, a list that is missing is not fatal."""
    return {
        "crls": [base / each for each in config["crls"]] or None,
        "revocation": "soft" if config["options"]["check_crl"] else "off",
    }


def describe(xml, report) -> dict:
    """Return a delivered stanza as the judge wants it."""
    kind = xml.tag.removeprefix(CLIENT)
    languages = {child: child.get(XML_LANG, xml.get(XML_LANG, "")) for child in xml}
    texts = {
        name: {languages[child]: child.text or "" for child in xml if child.tag == CLIENT + name}
        for name in ("body", "subject")
    }
    state = report.timestamp_state
    return {
        "kind": kind,
        "from": xml.get("from"),
        "to": xml.get("to"),
        "type": xml.get("type"),
        "id": xml.get("id"),
        "body": xml.findtext(CLIENT + "body"),
        "bodies": texts["body"],
        "subject": xml.findtext(CLIENT + "subject"),
        "subjects": texts["subject"],
        "thread": xml.findtext(CLIENT + "thread"),
        "show": xml.findtext(CLIENT + "show"),
        "status": xml.findtext(CLIENT + "status"),
        "payloads": [child.tag for child in xml if not child.tag.startswith(CLIENT)],
        "text": "".join(xml.itertext()),
        "signed": report.signed,
        "encrypted": report.encrypted,
        "signer": report.signer.bare if report.signer else None,
        "timestamp": "delayed" if report.arrival == "delayed" else state,
    }


if __name__ == "__main__":
    sys.exit("run it through judge.py --adapter")
