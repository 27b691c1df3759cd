"""What verified is parsed: which stanza it holds, and whether it is the one that its outer stanza announced."""

from datetime import UTC, datetime

import pytest
from slixmpp.xmlstream.tostring import tostring

from slixmpp_e2e.errors import (
    BAD_TIMESTAMP,
    DECRYPTION_FAILED,
    NOT_ACCEPTABLE,
    UNVERIFIED_SIGNATURE,
    MalformedError,
    RefusedError,
    RemoteError,
    SignatureError,
    TimestampError,
)
from slixmpp_e2e.formats.content import read_content
from slixmpp_e2e.freshness import from_datetime
from slixmpp_e2e.media import mime
from tests.elements import CLIENT
from tests.formats.objects import (
    DATED,
    FROM,
    JULIET,
    ROMEO,
    TO,
    message_cpim,
    outer,
    xmpp_entity,
)
from tests.pki import MOMENT

NOW = from_datetime(MOMENT)
CONTENT = message_cpim()
PLAIN = "Content-type: text/plain"
OTHER = "Content-Transfer-Encoding: x"
XMPP = "Content-type: application/xmpp+xml"


def kind_and_reason(error: RemoteError) -> tuple[type, str]:
    return type(error), error.reason


def read(content: bytes | str, where=None, *, signing_time: datetime = MOMENT, **options: bool):
    """Read what would have verified."""

    data = content if isinstance(content, bytes) else content.encode()
    return read_content(data, where or outer(), signing_time=signing_time, **options)


PIDF_TYPE = "Content-type: application/pidf+xml"
PIDF = (
    "<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='pres:juliet@example.com'><tuple id='t'><status>"
    "<basic>open</basic><im xmlns='urn:ietf:params:xml:ns:pidf:im'>away</im></status>"
    "<timestamp>2026-11-20T08:30:00Z</timestamp></tuple></presence>"
)
IQ = outer("iq", "get")
PRESENCE = outer("presence", "available")


class TestContent:
    @pytest.mark.requirement("3922-4.2.1-1", "3922-4.2.2-1", "3922-4.2.2-2", "3922-4.2.9-1")
    def test_text_becomes_a_message(self):
        found = read(CONTENT)
        assert found.names_sender
        assert found.timestamp == NOW
        assert found.stanza.findtext(f"{{{CLIENT}}}body") == "Wherefore art thou, Romeo?"
        assert found.stanza.attrib == {"type": "chat", "from": JULIET.full, "to": ROMEO.full}

    @pytest.mark.requirement("3862-2.1-1", "3862-2.2-15", "3862-2.4-2", "3862-4.1-1", "3862-4.2-1")
    @pytest.mark.requirement("3862-4.3-1", "3862-6-1", "3922-4.2.1-1", "3922-4.2.9-2", "3923-12-2")
    @pytest.mark.parametrize(
        ("content", "where"),
        [
            (message_cpim(content=xmpp_entity("<iq type='get' id='1'/>")), IQ),
            (
                message_cpim(
                    FROM, DATED, content=xmpp_entity("<iq type='get' id='1' to='romeo@example.net'/>")
                ),
                IQ,
            ),
            (message_cpim(content=xmpp_entity("<presence/>")), PRESENCE),
            (message_cpim(FROM, DATED, content=xmpp_entity("<presence/>")), PRESENCE),
            (message_cpim(content=xmpp_entity("<message type='chat'/>")), outer()),
            (xmpp_entity("<message type='chat' to='romeo@example.net'/>"), outer()),
            (xmpp_entity("<presence/>"), PRESENCE),
            (xmpp_entity("<presence/>", fields=XMPP), PRESENCE),
            (
                xmpp_entity("<presence/>", fields="Content-type: application/xmpp+xml; charset=UTF-8"),
                PRESENCE,
            ),
            (xmpp_entity("<presence/>").replace("jabber:client", "jabber:server"), PRESENCE),
            (message_cpim(fields="Content-type: Message/CPIM\r\nContent-Transfer-Encoding: 8bit"), outer()),
            (message_cpim(FROM, "To: <im:nurse@example.com>", "To: <im:romeo@example.net>", DATED), outer()),
            (message_cpim(FROM, "To: <im:nurse@example.com>", "cc: <im:romeo@example.net>", DATED), outer()),
            (message_cpim("From: <pres:juliet@example.com>", TO, DATED), outer()),
            (message_cpim("From: Juliet Capulet <im:juliet@example.com>", TO, DATED), outer()),
            (message_cpim("From: juliet@example.com", "To: ROMEO@Example.NET/x", DATED), outer()),
            (message_cpim("From: <IM:juliet@example.com>", TO, DATED), outer()),
            (message_cpim(FROM, TO, "To: <mailto:romeo@example.net>", DATED), outer()),
            (message_cpim(FROM, TO, DATED, "X-Unknown: x", "Require: From"), outer()),
        ],
    )
    def test_every_form_of_an_object_is_read(self, content, where):
        found = read(content, where)
        assert found.stanza.tag == f"{{{CLIENT}}}{where.kind}"
        assert found.stanza.get("from") == JULIET.full
        assert found.timestamp == NOW

    @pytest.mark.requirement("3862-7.1-1")
    def test_the_transfer_encoding_of_the_whole_object_is_undone_first(self):
        header, _, body = CONTENT.partition(b"\r\n\r\n")
        encoded = header + b"\r\nContent-Transfer-Encoding: base64\r\n\r\n" + mime.encode_base64(body)
        assert read(encoded).stanza.findtext(f"{{{CLIENT}}}body") == "Wherefore art thou, Romeo?"

    def test_a_bare_stanza_is_dated_by_its_signature(self):
        moment = datetime(2026, 11, 20, 9, tzinfo=UTC)
        assert read(xmpp_entity("<presence/>"), PRESENCE, signing_time=moment).timestamp == from_datetime(
            moment
        )

    def test_in_message_cpim_the_date_of_the_message_counts(self):
        content = message_cpim(content=xmpp_entity("<presence/>"))
        assert read(content, PRESENCE, signing_time=datetime(2001, 1, 1, tzinfo=UTC)).timestamp == NOW

    @pytest.mark.requirement("3922-4.2.7-1")
    @pytest.mark.requirement("3862-6-1", "3862-2.4-1", "3922-4.2.9-3", "3922-5.2-1", "3923-10-3")
    @pytest.mark.parametrize(
        ("content", "where", "kind", "reason"),
        [
            # addresses: ERRATA E26
            (message_cpim("From: <im:nurse@example.com>", TO, DATED), outer(), SignatureError, "name-mismatch"),
            (message_cpim(TO, DATED), outer(), SignatureError, "name-mismatch"),
            (message_cpim("from: <im:juliet@example.com>", TO, DATED), outer(), SignatureError, "name-mismatch"),
            (message_cpim("From: <xmpp:juliet@example.com>", TO, DATED), outer(), SignatureError, "name-mismatch"),
            (message_cpim("From: <mailto:juliet@example.com>", TO, DATED), outer(), SignatureError, "name-mismatch"),
            (message_cpim("From: <im:juliet@example.com?x>", TO, DATED), outer(), SignatureError, "name-mismatch"),
            (message_cpim("From: <>", TO, DATED), outer(), MalformedError, "malformed"),
            (message_cpim(FROM, FROM, TO, DATED), outer(), MalformedError, "malformed"),
            (message_cpim("NS: <urn:x>", FROM, TO, DATED), outer(), SignatureError, "name-mismatch"),
            (message_cpim(FROM, "To: <im:nurse@example.com>", DATED), outer(), SignatureError, "other-recipient"),
            (message_cpim(FROM, "cc: <im:nurse@example.com>", DATED), outer(), SignatureError, "other-recipient"),
            (message_cpim(FROM, DATED), outer(), SignatureError, "other-recipient"),
            (message_cpim(FROM, "To: undisclosed", DATED), outer(), SignatureError, "other-recipient"),
            (message_cpim(FROM, DATED, content=xmpp_entity("<iq/>")), IQ, SignatureError, "other-recipient"),
            (xmpp_entity("<iq type='get'/>"), IQ, SignatureError, "other-recipient"),
            (xmpp_entity("<message type='chat'/>"), outer(), SignatureError, "other-recipient"),
            (xmpp_entity("<presence from='nurse@example.com'/>"), PRESENCE, SignatureError, "name-mismatch"),
            (xmpp_entity("<presence to='nurse@example.com'/>"), PRESENCE, SignatureError, "other-recipient"),
            # kinds and types: ERRATA E20, E23
            (message_cpim(content=xmpp_entity("<presence/>")), outer(), SignatureError, "invalid"),
            (message_cpim(content=xmpp_entity("<iq type='set'/>")), IQ, SignatureError, "invalid"),
            (message_cpim(), PRESENCE, RefusedError, "unsupported"),
            # dates
            (message_cpim(FROM, TO), outer(), TimestampError, "missing"),
            (message_cpim(FROM, TO, "DateTime: "), outer(), TimestampError, "missing"),
            (message_cpim(FROM, TO, "DateTime: yesterday"), outer(), TimestampError, "missing"),
            (message_cpim(FROM, TO, "DateTime: 9999-12-31T23:59:59-01:00"), outer(), TimestampError, "missing"),
            (message_cpim(FROM, TO, "Datetime: 2026-11-20T08:30:15Z"), outer(), TimestampError, "missing"),
            (message_cpim(FROM, TO, DATED, DATED), outer(), MalformedError, "malformed"),
            # contents
            (b"Content-type: text/plain\r\n\r\nx", outer(), RefusedError, "unsupported"),
            (b"\r\nx", outer(), RefusedError, "unsupported"),
            (message_cpim(content="Content-type: text/html\r\n\r\nx"), outer(), RefusedError, "unsupported"),
            (message_cpim(content="Content-type: multipart/mixed\r\n\r\n"), outer(), RefusedError, "unsupported"),
            (message_cpim(content="\r\nx"), outer(), RefusedError, "unsupported"),
            (message_cpim(content=f"{PLAIN}; charset=utf-16\r\n\r\nx"), outer(), RefusedError, "unsupported"),
            (message_cpim(FROM, TO, DATED, "Require: x.y"), outer(), RefusedError, "unsupported"),
            (message_cpim(content=""), outer(), MalformedError, "malformed"),
            (b"Content-type: Message/CPIM\r\n\r\n", outer(), MalformedError, "malformed"),
            (b"", outer(), MalformedError, "malformed"),
            (xmpp_entity("<message/><message/>"), outer(), MalformedError, "malformed"),
            (xmpp_entity("<message"), outer(), MalformedError, "malformed"),
            (xmpp_entity("<!-- x --><presence/>"), PRESENCE, MalformedError, "malformed"),
            (xmpp_entity("<presence/>", fields=f"{XMPP}; charset=utf-16"), PRESENCE, MalformedError, "malformed"),
            (xmpp_entity("<presence/>", fields=f"{XMPP}\r\n{OTHER}"), PRESENCE, MalformedError, "malformed"),
        ],
    )  # fmt: skip
    def test_anything_else_is_refused(self, content, where, kind, reason):
        with pytest.raises(RemoteError) as caught:
            read(content, where)
        assert kind_and_reason(caught.value) == (kind, reason)
        assert caught.value.answer == {
            SignatureError: UNVERIFIED_SIGNATURE,
            MalformedError: DECRYPTION_FAILED,
            RefusedError: NOT_ACCEPTABLE,
            TimestampError: BAD_TIMESTAMP,
        }[kind]  # fmt: skip

    @pytest.mark.requirement("3922-5.2.7-1")
    @pytest.mark.requirement("3922-4.2.3-1", "3922-4.2.4-1", "3922-4.2.6-1", "3922-5.2.2-1", "3922-5.2.6-1")
    def test_headers_that_xmpp_has_no_place_for_leave_nothing_in_the_stanza(self):
        to = "To: Romeo <im:romeo@example.net>"
        more = (FROM, to, "cc: <im:nurse@example.com>", DATED, "NS: x <urn:x>", "x.y: z", "Require: From")
        found = read(message_cpim(*more)).stanza
        assert found.attrib == {"type": "chat", "from": JULIET.full, "to": ROMEO.full}
        assert [(each.tag, each.text) for each in found] == [
            (f"{{{CLIENT}}}body", "Wherefore art thou, Romeo?")
        ]
        in_cpim = read(message_cpim(*more, content=f"{PIDF_TYPE}\r\n\r\n{PIDF}"), PRESENCE)
        assert in_cpim.stanza.attrib == {"from": JULIET.full, "to": ROMEO.full}
        assert [(each.tag, each.text) for each in in_cpim.stanza] == [(f"{{{CLIENT}}}show", "away")]
        assert in_cpim.timestamp == NOW

    def test_a_bare_stanza_that_nothing_dates_is_refused(self):
        data = xmpp_entity("<presence/>").encode()
        with pytest.raises(TimestampError) as caught:
            read_content(data, PRESENCE, signing_time=None)
        assert caught.value.reason == "missing"  # ERRATA E21


class TestEarlyDraft:
    """The forms of draft-ietf-xmpp-e2e-03, where a policy allows them (ERRATA E47)."""

    FROM, TO = "From: Juliet <pres:juliet@example.com>", "To: Romeo <pres:romeo@example.net>"
    TEXT = message_cpim(content="Content-type: text/xml\r\n\r\n<body>\r\nWherefore &amp; art?\r\n</body>")

    def presence(self, media_type: str, inside: str = PIDF, inner: str = "text/xml") -> bytes:
        return message_cpim(
            self.FROM, self.TO, DATED, content=f"Content-type: {inner}\r\n\r\n{inside}",
            fields=f"Content-type: {media_type}",
        )  # fmt: skip

    @pytest.mark.requirement("early-2")
    def test_the_text_of_a_message_is_an_element(self):
        found = read(self.TEXT, allow_early_draft=True)
        assert found.stanza.findtext(f"{{{CLIENT}}}body") == "Wherefore & art?"
        assert found.timestamp == NOW

    @pytest.mark.requirement("early-3", "early-4")
    @pytest.mark.parametrize("inner", ["text/xml", "application/pidf+xml"])
    @pytest.mark.parametrize(
        "media_type", ["application/cpim-pidf+xml", "application/cpim-pid+xml", "Message/CPIM"]
    )
    def test_presence_has_the_headers_of_a_message(self, media_type, inner):
        found = read(self.presence(media_type, inner=inner), PRESENCE, allow_early_draft=True)
        assert found.stanza.findtext(f"{{{CLIENT}}}show") == "away"
        assert found.timestamp == NOW  # that of the header, not that of the tuple

    def test_what_has_todays_forms_is_read_as_ever(self):
        assert tostring(read(CONTENT, allow_early_draft=True).stanza) == tostring(read(CONTENT).stanza)
        data = f"Content-type: application/pidf+xml\r\n\r\n{PIDF}".encode()
        found = read(data, PRESENCE, allow_early_draft=True)
        assert found.stanza.findtext(f"{{{CLIENT}}}show") == "away"

    @pytest.mark.requirement("early-2", "early-3")
    @pytest.mark.parametrize("media_type", ["application/cpim-pidf+xml", "application/cpim-pid+xml"])
    def test_without_leave_nothing_of_it_is_read(self, media_type):
        inside = self.presence("Message/CPIM")
        for content, where in (
            (self.TEXT, outer()),
            (self.presence(media_type), PRESENCE),
            (inside, PRESENCE),
        ):
            with pytest.raises(RefusedError):
                read(content, where)

    @pytest.mark.parametrize(
        ("content", "where", "kind", "reason"),
        [
            (TEXT.replace(b"juliet@", b"nurse@"), outer(), SignatureError, "name-mismatch"),
            (TEXT.replace(b"romeo@", b"nurse@"), outer(), SignatureError, "other-recipient"),
            (TEXT.replace(b"DateTime", b"X-Date"), outer(), TimestampError, "missing"),
            (TEXT.replace(b"body>", b"html>"), outer(), MalformedError, "malformed"),
            (TEXT.replace(b"Wherefore", b"<b/>"), outer(), MalformedError, "malformed"),
            (TEXT.replace(b"&amp;", b"&x;"), outer(), MalformedError, "malformed"),
            (TEXT, PRESENCE, MalformedError, "malformed"),
        ],
    )
    def test_what_binds_it_is_the_same(self, content, where, kind, reason):
        with pytest.raises(RemoteError) as caught:
            read(content, where, allow_early_draft=True)
        assert kind_and_reason(caught.value) == (kind, reason)

    def test_presence_of_somebody_else_is_refused(self):
        data = self.presence("application/cpim-pidf+xml", PIDF.replace("juliet", "nurse"))
        with pytest.raises(SignatureError):
            read(data, PRESENCE, allow_early_draft=True)
