"""Whole stanzas there and back without a stream, by the rules that the plugin keeps."""

import asyncio
from dataclasses import replace
from xml.etree.ElementTree import fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slixmpp_e2e.certificates.identity import identity
from slixmpp_e2e.certificates.mirror import Mirror
from slixmpp_e2e.certificates.path import PathValidator
from slixmpp_e2e.certificates.store import MemoryStore
from slixmpp_e2e.certificates.trust import Authority
from slixmpp_e2e.endpoint import Endpoint
from slixmpp_e2e.errors import (
    BAD_TIMESTAMP,
    DECRYPTION_FAILED,
    UNVERIFIED_SIGNATURE,
    CertificateError,
    ConfigurationError,
    InvalidStanzaError,
    MalformedError,
    NoCertificateError,
    RefusedError,
    RemoteError,
    SignatureError,
    StoreError,
    TimestampError,
    TooLargeError,
    UnprotectableError,
)
from slixmpp_e2e.gateway import unwrap
from slixmpp_e2e.outer import read_stanza, write_outer
from slixmpp_e2e.policy import Level, read_policy
from slixmpp_e2e.stanza import as_client_stanza, parse_xml
from tests.accounts import Clock, account
from tests.elements import CLIENT, same, stanza
from tests.formats.objects import JULIET, ROMEO
from tests.patience import WaitedFor

E2E = "{urn:ietf:params:xml:ns:xmpp-e2e}e2e"
STANZAS = "{urn:ietf:params:xml:ns:xmpp-stanzas}"
ADDRESSES = "from='juliet@example.com/balcony' to='romeo@example.net/orchard'"
MESSAGE = f"<message {ADDRESSES} type='chat' id='m1'><body>Wherefore art thou?</body></message>"
STANZA = {
    "message": MESSAGE,
    "extended message": f"<message {ADDRESSES}><body>x</body><active xmlns='urn:x'><y/></active></message>",
    "presence": f"<presence {ADDRESSES} type='unavailable'><status>away</status></presence>",
    "iq": f"<iq {ADDRESSES} type='set' id='i1'><query xmlns='urn:x'/></iq>",
    "iq result": f"<iq {ADDRESSES} type='result' id='i1'/>",
    "iq error": f"<iq {ADDRESSES} type='error' id='i1'><error type='cancel'/></iq>",
}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def juliets(pki, juliet, romeo, clock) -> Endpoint:
    return Endpoint.over(account(pki, juliet, clock, peers=[romeo]))


@pytest.fixture
def romeos(pki, romeo, clock) -> Endpoint:
    return Endpoint.over(account(pki, romeo, clock))


@pytest.mark.parametrize("make", [WaitedFor, lambda: Mirror(WaitedFor(), lambda: 0.0, asyncio.Lock)])
def test_a_store_that_has_to_be_waited_for_is_refused(romeos, clock, make):
    protection = romeos.protection
    with pytest.raises(ConfigurationError, match="waited for"):
        Endpoint(protection.identity, protection.authority, store=make(), clock=clock)


def response_to(xml: str) -> str | None:
    return "outer-request" if "type='result'" in xml or "type='error'" in xml else None


def refusal(endpoint: Endpoint, xml: str) -> RemoteError:
    with pytest.raises(RemoteError) as caught:
        endpoint.unprotect(xml)
    return caught.value


class TestThereAndBack:
    @pytest.mark.parametrize("level", [None, Level.SIGN, Level.REQUIRED])
    @pytest.mark.parametrize("xml", STANZA.values(), ids=STANZA)
    def test_every_stanza_comes_back_with_its_report(self, juliets, romeos, xml, level):
        outer = juliets.protect(xml, level=level, response_to=response_to(xml))
        found = romeos.unprotect(outer)
        assert same(found.stanza, stanza(xml))
        assert found.report.authenticated
        assert found.report.signer == "juliet@example.com"
        assert found.report.encrypted is (level is not Level.SIGN)

    @pytest.mark.requirement("3923-4.1-3", "3923-4.1-4")
    @pytest.mark.parametrize("xml", STANZA.values(), ids=STANZA)
    def test_the_outer_stanza_says_nothing_of_what_is_in_it(self, juliets, xml):
        outer = parse_xml(juliets.protect(xml, response_to=response_to(xml)).encode())
        inner = stanza(xml)
        assert outer.tag == inner.tag
        assert {**outer.attrib, "id": None} == {**inner.attrib, "id": None}
        assert outer.get("id") not in {None, "", inner.get("id")}
        error = [f"{{{CLIENT}}}error"] if inner.get("type") == "error" else []
        assert [child.tag for child in outer] == [*error, E2E]

    def test_every_outer_stanza_has_another_id_but_a_response_has_that_of_its_request(self, juliets):
        ids = {fromstring(juliets.protect(MESSAGE)).get("id") for _ in range(5)}
        assert len(ids) == 5
        outer = juliets.protect(STANZA["iq result"], response_to="outer-request")
        assert fromstring(outer).get("id") == "outer-request"

    def test_it_can_be_built_from_its_parts(self, pki, juliet, romeos, clock):
        store = MemoryStore(started=0)
        endpoint = Endpoint(
            identity(juliet.key, juliet.certificate, [pki.intermediate.certificate]),
            Authority(store, paths=PathValidator([pki.root.certificate])),
            store=store,
            clock=clock,
        )
        assert romeos.unprotect(endpoint.protect(MESSAGE, level=Level.SIGN)).report.authenticated
        with pytest.raises(NoCertificateError):
            endpoint.protect(MESSAGE)

    def test_what_arrives_in_a_servers_or_components_stream_is_the_same(self, juliets, romeos):
        for namespace in ("jabber:server", "jabber:component:accept"):
            outer = juliets.protect(MESSAGE).replace("jabber:client", namespace, 1)
            assert romeos.unprotect(outer).report.authenticated

    def test_addresses_that_a_clients_stream_leaves_out_are_our_own(self, juliets, pki, juliet, clock):
        outer = juliets.protect("<message to='romeo@example.net'><body>x</body></message>", level=Level.SIGN)
        assert fromstring(outer).get("from") == "juliet@example.com"
        for name in ("to", "from"):
            both = account(pki, juliet, clock)
            outer = Endpoint.over(both).protect(
                "<message to='juliet@example.com'><body>x</body></message>", level=Level.SIGN
            )
            without = outer.replace(f' {name}="juliet@example.com"', "", 1)
            assert without != outer
            clock.pass_seconds(1)
            assert Endpoint.over(account(pki, juliet, clock)).unprotect(without).report.authenticated

    def test_without_a_namespace_children_of_other_namespaces_stay_theirs(self):
        xml = "<message><body/><error><x xmlns='urn:x'><y xmlns=''/></x></error></message>"
        names = [each.tag.replace(CLIENT, "") for each in read_stanza(xml).iter()]
        assert names == ["{}message", "{}body", "{}error", "{urn:x}x", "y"]


class TestLevels:
    def test_a_policy_says_what_is_done(self, pki, juliet, romeo, clock):
        levels = {"*": "required", "example.net": "sign"}
        endpoint = Endpoint.over(account(pki, juliet, clock, peers=[romeo]), policy=read_policy(levels))
        assert b"multipart/signed" in unwrap(endpoint.protect(MESSAGE))
        assert b"enveloped-data" in unwrap(endpoint.protect(MESSAGE, level=Level.REQUIRED))

    def test_less_than_the_policy_is_not_to_be_had(self, pki, juliet, romeo, clock):
        policy = read_policy({"*": "required"})
        endpoint = Endpoint.over(account(pki, juliet, clock, peers=[romeo]), policy=policy)
        for level in (Level.SIGN, Level.OFF, Level.OPPORTUNISTIC):
            assert b"enveloped-data" in unwrap(endpoint.protect(MESSAGE, level=level))

    def test_nothing_comes_back_in_clear(self, pki, juliet, clock):
        endpoint = Endpoint.over(account(pki, juliet, clock), policy=read_policy({}))
        with pytest.raises(UnprotectableError, match="in clear"):
            endpoint.protect(MESSAGE)
        with pytest.raises(UnprotectableError):
            Endpoint.over(account(pki, juliet, clock)).protect(MESSAGE, level=Level.OFF)
        opportunistic = Endpoint.over(account(pki, juliet, clock), policy=read_policy({"*": "opportunistic"}))
        with pytest.raises(NoCertificateError):
            opportunistic.protect(MESSAGE)

    def test_what_nobody_signed_is_taken_only_where_the_policy_takes_it(
        self, juliets, romeos, pki, romeo, clock
    ):
        outer = juliets.protect(MESSAGE, level=Level.ENCRYPT_UNSIGNED)
        error = refusal(romeos, outer)
        assert (error.reason, error.answer) == ("unsigned", DECRYPTION_FAILED)
        policy = read_policy({"*": "encrypt-unsigned"})
        report = Endpoint.over(account(pki, romeo, clock), policy=policy).unprotect(outer).report
        assert (report.encrypted, report.authenticated) == (True, False)


class TestLeaving:
    @pytest.mark.requirement("3923-6.3-8", "3923-4.1-4")
    @pytest.mark.parametrize(
        ("xml", "error"),
        [
            (MESSAGE.replace("chat", "groupchat"), UnprotectableError),
            (MESSAGE.replace("chat", "error"), UnprotectableError),
            (MESSAGE.replace("to='romeo@example.net/orchard'", ""), UnprotectableError),
            (f"<presence {ADDRESSES} type='subscribe'/>", UnprotectableError),
            (f"<presence {ADDRESSES} type='probe'/>", UnprotectableError),
            ("<presence/>", UnprotectableError),
            (
                f"<presence {ADDRESSES}><x xmlns='http://jabber.org/protocol/muc'/></presence>",
                UnprotectableError,
            ),
            ("<iq to='romeo@example.net' type='get' id='1'><q xmlns='urn:x'/></iq>", UnprotectableError),
            (MESSAGE.replace("juliet@example.com", "mercutio@example.com"), CertificateError),
            (MESSAGE.replace("juliet@example.com", "@"), InvalidStanzaError),
            (MESSAGE.replace("romeo@example.net", "@"), InvalidStanzaError),
            (MESSAGE.replace("romeo@example.net", "tybalt@example.net"), NoCertificateError),
            (STANZA["iq result"], InvalidStanzaError),
            (f"<presence {ADDRESSES} type='invisible'/>", UnprotectableError),
            (f"<iq {ADDRESSES} id='i1'><query xmlns='urn:x'/></iq>", UnprotectableError),
            (f"<iq {ADDRESSES} type='get'><query xmlns='urn:x'/></iq>", InvalidStanzaError),
            ("<message", InvalidStanzaError),
            ("<body xmlns='jabber:client'/>", InvalidStanzaError),
            ("<!DOCTYPE message>" + MESSAGE, InvalidStanzaError),
            (MESSAGE.replace("Wherefore", "&#27;"), InvalidStanzaError),
            (MESSAGE.replace("Wherefore", "x" * 400_000), TooLargeError),
        ],
    )
    def test_what_is_not_protected_is_a_local_error(self, juliets, xml, error):
        with pytest.raises(error):
            juliets.protect(xml)

    def test_only_a_response_has_the_id_of_a_request(self, juliets):
        with pytest.raises(InvalidStanzaError):
            juliets.protect(MESSAGE, response_to="x")

    def test_with_several_addresses_of_our_own_the_stanza_must_say_which(self, juliets, juliet):
        outer = juliets.protect(MESSAGE)
        own = identity(juliet.key, juliet.certificate)
        juliets.protection.succession.current = replace(own, jids=own.jids | {"j@example.com"})
        with pytest.raises(InvalidStanzaError, match=r"j@example\.com"):
            juliets.protect("<message to='romeo@example.net'/>")
        assert (
            refusal(juliets, outer.replace('to="romeo@example.net/orchard"', "")).reason == "other-recipient"
        )


class TestArriving:
    def test_a_stanza_without_an_object_came_unprotected(self, romeos):
        error = refusal(romeos, MESSAGE)
        assert (type(error), error.reason) == (RefusedError, "unprotected")

    @pytest.mark.parametrize(
        ("change", "error", "reason"),
        [
            (("<message", "<presence"), MalformedError, "malformed"),
            (('type="chat"', 'type="groupchat"'), RefusedError, "unprotected"),
            (('type="chat"', 'type="error"'), RefusedError, "unprotected"),
            (
                ('to="romeo@example.net/orchard"', 'to="tybalt@example.net"'),
                SignatureError,
                "other-recipient",
            ),
            (('to="romeo@example.net/orchard"', 'to="@"'), SignatureError, "other-recipient"),
            (('"juliet@example.com/balcony"', '"nurse@example.com"'), SignatureError, "name-mismatch"),
            (('"juliet@example.com/balcony"', '"juliet@example\uff0ecom"'), SignatureError, "name-mismatch"),
            (('from="juliet@example.com/balcony"', ""), SignatureError, "name-mismatch"),
            (("<e2e", "<e2e xmlns='urn:ietf:params:xml:ns:xmpp-e2e'/><e2e"), MalformedError, "malformed"),
            (("</e2e>", "<x/></e2e>"), MalformedError, "malformed"),
        ],
    )
    def test_a_changed_outer_stanza_is_refused(self, juliets, romeos, change, error, reason):
        outer = juliets.protect(MESSAGE, level=Level.SIGN)
        changed = outer.replace(*change)
        assert changed != outer
        found = refusal(romeos, changed)
        assert (type(found), found.reason) == (error, reason)

    def test_an_iq_without_id_is_refused(self, juliets, romeos):
        inner = stanza("<iq type='get'/>")
        text = juliets.protection.protect(inner, sender=JULIET, recipient=ROMEO, level=Level.REQUIRED).text
        attributes = {"type": "get", "from": JULIET.full, "to": ROMEO.full, "id": "1"}
        assert refusal(romeos, write_outer("iq", attributes, text)).reason == "malformed"

    def test_the_same_stanza_is_seen_once_and_too_late_is_old(self, juliets, romeos, clock):
        outer, late = juliets.protect(MESSAGE, level=Level.SIGN), juliets.protect(MESSAGE, level=Level.SIGN)
        romeos.unprotect(outer)
        assert refusal(romeos, outer).reason == "seen"
        arrived = clock.now
        clock.pass_seconds(1000)
        error = refusal(romeos, late)
        assert (type(error), error.reason, error.answer) == (TimestampError, "old", BAD_TIMESTAMP)
        assert romeos.unprotect(late, delayed_since=arrived).report.arrival == "delayed"

    @given(xml=st.text(max_size=40) | st.binary(max_size=40))
    def test_no_xml_raises_anything_but_a_remote_error(self, pki, xml):
        endpoint = Endpoint.over(account(pki, pki["romeo"], Clock()))
        with pytest.raises(RemoteError):
            endpoint.unprotect(xml)
        assert endpoint.answer_to(MalformedError(), xml) is None


class TestAnswers:
    @pytest.mark.parametrize(
        ("error", "answer"),
        [
            (SignatureError(reason="invalid"), UNVERIFIED_SIGNATURE),
            (MalformedError(), DECRYPTION_FAILED),
            (TimestampError(reason="old"), BAD_TIMESTAMP),
        ],
    )
    @pytest.mark.parametrize("xml", [MESSAGE, STANZA["iq"]])
    def test_an_error_goes_back_with_the_same_id(self, romeos, xml, error, answer):
        written = romeos.answer_to(error, xml)
        found = as_client_stanza(parse_xml(written.encode()))
        asked = stanza(xml)
        assert found.tag == asked.tag
        assert found.attrib == {
            "type": "error", "id": asked.get("id"), "from": asked.get("to"), "to": asked.get("from")
        }  # fmt: skip
        (told,) = found
        assert told.get("type") == answer.type
        assert [child.tag for child in told] == [STANZAS + answer.condition, E2E[:-3] + answer.application]

    @pytest.mark.parametrize(
        "xml",
        [
            MESSAGE.replace("chat", "error"),
            MESSAGE.replace("chat", "groupchat"),
            MESSAGE.replace("chat", "headline"),
            MESSAGE.replace("from='juliet@example.com/balcony'", ""),
            STANZA["iq result"],
            STANZA["iq error"],
            "<message",
        ],
    )
    def test_some_stanzas_are_never_answered(self, romeos, xml):
        assert romeos.answer_to(MalformedError(), xml) is None

    def test_a_stanza_without_id_is_answered_without_one(self, romeos):
        written = romeos.answer_to(MalformedError(), MESSAGE.replace("id='m1'", ""))
        assert fromstring(written).get("id") is None

    def test_what_our_store_failed_at_tells_the_peer_nothing(self, romeos):
        written = romeos.answer_to(StoreError("the disk is full"), MESSAGE)
        assert "disk" not in written
        assert [child.tag for child in fromstring(written)[0]] == [STANZAS + "not-acceptable"]

    def test_where_unsigned_content_is_taken_no_answer_tells_that_it_decrypted(self, pki, romeo, clock):
        policy = read_policy({"*": "encrypt-unsigned"})
        endpoint = Endpoint.over(account(pki, romeo, clock), policy=policy)
        concealed = MalformedError()
        concealed.conceal()
        assert endpoint.answer_to(concealed, MESSAGE) is None
        assert endpoint.answer_to(concealed, MESSAGE.replace("juliet@", "@")) is None
        assert endpoint.answer_to(concealed, STANZA["iq"]) is not None
        assert endpoint.answer_to(MalformedError(), MESSAGE) is not None

    def test_what_must_stay_silent_is_answered_for_an_iq_only(self, romeos):
        error = TimestampError(reason="seen")
        error.silent = True
        assert romeos.answer_to(error, MESSAGE) is None
        assert romeos.answer_to(error, STANZA["iq"]) is not None
