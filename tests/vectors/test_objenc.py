"""The objects of draft-miller-3923bis-02 that others made, held against their manifest, without a plugin.

`test_vectors.py` has those that the plugin reads, this all of them, and what the manifest merely recommends.

Layouts a and b have the IV in front of the data, with the MAC as the draft says it and as it is usual; c and d have
it behind the session key, which is read on demand only.
"""

from collections import defaultdict
from datetime import datetime
from pathlib import Path

import pytest
from slixmpp.jid import JID

from slixmpp_e2e.certificates.identity import load_pem
from slixmpp_e2e.cms.recipients import DecryptionKeys
from slixmpp_e2e.errors import RemoteError
from slixmpp_e2e.formats import objenc
from slixmpp_e2e.formats.claims import ClaimedKeys, Claims
from slixmpp_e2e.freshness import (
    MemoryReplayRecord,
    assess,
    check_window,
    from_datetime,
    parse_date_time,
    to_datetime,
)
from slixmpp_e2e.namespaces import DELAY
from slixmpp_e2e.outer import NEVER_ANSWERED, find_payload, kind_of, read_outer, read_stanza, write_error
from slixmpp_e2e.report import SecurityReport, Trust
from slixmpp_e2e.stanza import Outer, serialise, stanza_type

from . import judge
from .adapter import describe
from .test_vectors import BASE, MANIFEST

VECTORS = [vector for vector in MANIFEST["vectors"] if vector["area"].startswith("objenc")]
#: Layouts that are read on demand only.
ELSEWHERE = ("obj-c-", "obj-d-")


class Adapter:
    """See the protocol in the docstring of `judge.py`."""

    def __init__(self, *, iv_in_key: bool = False, allow_pkcs1: bool = False) -> None:
        self.options = {"iv_in_key": iv_in_key, "allow_pkcs1": allow_pkcs1}

    def supports(self, option: str) -> bool:
        """Tell which receiver options there are: all that the vectors ask for."""
        return option == "require_signature"

    def new(self, config: dict, _state_dir: Path) -> "Receiver":
        """Return a fresh receiver."""
        return Receiver(config, self.options)


class Receiver:
    """Somebody who takes what nobody signed, and remembers what came before."""

    def __init__(self, config: dict, options: dict) -> None:
        self.jid, self.server = JID(config["jid"]), config["server_domain"]
        pairs = [load_pem(*((BASE / each).read_bytes() for each in pair)) for pair in config["keys"]]
        self.keys = DecryptionKeys((each.key, each.certificate) for each in pairs)
        self.options = options
        self.claimed = ClaimedKeys()
        #: Of what nobody signed: apart from what signers are known by.
        self.record = MemoryReplayRecord(started=0)

    def receive(self, xml: bytes, clock: str) -> dict:
        """Feed one stanza in."""
        now = from_datetime(datetime.fromisoformat(clock))
        why, delivered, replies = "", [], []
        try:
            stanza = read_stanza(xml)
        except RemoteError as error:  # of more than 512 KB
            return {"delivered": [], "replies": [], "passthrough": False, "why": str(error)}
        try:
            outer = read_outer(stanza, {self.jid.bare})
            delivered = [self.open(stanza, outer, now)]
        except RemoteError as error:
            why = f"{error.reason}: {error}"
            answered = stanza_type(stanza) not in NEVER_ANSWERED
            if answered and (kind_of(stanza) == "iq" or not error.concealed):
                replies = [serialise(write_error(stanza, error.answer))]
        return {"delivered": delivered, "replies": replies, "passthrough": False, "why": why}

    def open(self, stanza, outer: Outer, now: int) -> dict:
        """Open a stanza, and judge the time that it claims; raise a `RemoteError`."""
        element = find_payload(stanza)
        claims = Claims(self.claimed)
        with claims:
            opened = objenc.Opener(self.keys, claims.claim, **self.options).open_object(element)
            content = objenc.read_content(opened, outer)
            try:
                stored = self.stored(stanza)
                skew = check_window(content.timestamp, now, delayed_since=stored)
                admission = self.record.admit(outer.sender.bare, opened.digest, content.timestamp, now)
                found = assess(admission, content.timestamp, now, skew=skew, delayed_since=stored)
            except RemoteError as error:
                error.conceal()
                raise
        return describe(content.stanza, report(opened, outer, found))

    def stored(self, stanza) -> int | None:
        """Return when our own server says that it stored a message."""
        found = stanza.findall(f"{{{DELAY}}}delay")
        if kind_of(stanza) != "message" or len(found) != 1 or found[0].get("from") != self.server:
            return None
        return parse_date_time(found[0].get("stamp", ""))


def report(opened: objenc.Opened, outer: Outer, found) -> SecurityReport:
    """Return what is known: nothing about the sender."""
    return SecurityReport(
        format=objenc.NAME,
        signed=opened.signer is not None,
        encrypted=True,
        signer=opened.signer,
        certificate=None,
        chain=(),
        trust=Trust.UNTRUSTED,
        timestamp=to_datetime(opened.timestamp),
        timestamp_state=found.state,
        skew=found.skew,
        arrival=found.arrival,
        signature_algorithm=None,
        encryption_algorithm=opened.decrypted.cipher.name,
        key_management_algorithm=opened.decrypted.key_management,
        decrypted_with=opened.decrypted.certificate.fingerprint,
        legacy=False,
        checks=("decryption",),
        outer_id=outer.id,
    )


RESULTS: dict[str, dict] = {}


def run(vector: dict) -> dict:
    """Run a vector by the rules that read its layout."""
    name = vector["id"]
    if name not in RESULTS:
        is_pkcs1 = name.endswith("-pkcs1") or "-bb-" in name
        adapter = Adapter(iv_in_key=name.startswith(ELSEWHERE), allow_pkcs1=is_pkcs1)
        RESULTS[name] = judge.run_vector(adapter, MANIFEST, vector, BASE, strict=True)
    return RESULTS[name]


def test_there_are_as_many_vectors_as_there_should_be():
    assert len(VECTORS) >= 216


@pytest.mark.requirement(
    "bis-5-2", "bis-5-5", "bis-5-6", "bis-5-7", "bis-6-5", "bis-6-6", "bis-6-7", "bis-6-10"
)
@pytest.mark.requirement("bis-6-11", "bis-8-1")
@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_the_vector_ends_as_its_manifest_recommends(vector):
    result = run(vector)
    assert result["status"] == "pass", (vector["title"], result)


@pytest.mark.parametrize(
    "vector", [each for each in VECTORS if each["id"].startswith(ELSEWHERE)], ids=lambda vector: vector["id"]
)
def test_an_iv_behind_the_session_key_is_not_read_by_itself(vector):
    result = judge.run_vector(Adapter(allow_pkcs1=True), MANIFEST, vector, BASE)
    assert not any(result["delivered"])


@pytest.mark.parametrize("name", ["obj-a-pkcs1", "obj-b-pkcs1"])
def test_pkcs1_is_not_read_unless_a_policy_allows_it(name):
    (vector,) = [each for each in VECTORS if each["id"] == name]
    assert run(vector)["delivered"] == [True]
    refused = judge.run_vector(Adapter(), MANIFEST, vector, BASE)
    assert refused["delivered"] == [False]
    assert refused["why"].startswith("malformed: PKCS #1 v1.5")


def test_no_negative_vector_passes_because_its_positive_control_fails_too():
    known = {vector["id"]: vector for vector in VECTORS}
    vacuous = [
        vector["id"]
        for vector in VECTORS
        if (control := known.get(vector.get("control", ""))) and not all(run(control)["delivered"])
    ]
    assert not vacuous


def test_every_failure_of_one_group_looks_the_same_to_the_network():
    groups = defaultdict(dict)
    for vector in VECTORS:
        if "oracle_group" in vector:
            result = run(vector)
            outcome = str((result["fp"][-1], result["delivered"][-1]))
            groups[vector["oracle_group"]].setdefault(outcome, []).append(vector["id"])
    assert len(groups) == 8
    assert {name: outcomes for name, outcomes in groups.items() if len(outcomes) > 1} == {}
