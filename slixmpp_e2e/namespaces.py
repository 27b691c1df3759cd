"""The names of things on the wire: XML namespaces and media types."""

from typing import Final

#: RFC 3923 12.1.
E2E: Final = "urn:ietf:params:xml:ns:xmpp-e2e"
#: The spelling of RFC 3923 9 and of its examples; read in errors, never written.
E2E_MISSPELT: Final = "urn:ietf:params:xml:xmpp-e2e"
#: draft-miller-3923bis-02.
OBJENC: Final = "urn:ietf:params:xml:ns:xmpp-objenc:0"

CLIENT: Final = "jabber:client"
SERVER: Final = "jabber:server"
COMPONENT: Final = "jabber:component:accept"
STANZAS: Final = "urn:ietf:params:xml:ns:xmpp-stanzas"
STREAMS: Final = "http://etherx.jabber.org/streams"
XML: Final = "http://www.w3.org/XML/1998/namespace"
#: The name of xml:lang.
LANG: Final = f"{{{XML}}}lang"

#: Ours: the request for a certificate, and its answer.
CERTIFICATES: Final = "urn:slixmpp-e2e:certificates:0"

DATA_FORMS: Final = "jabber:x:data"
DELAY: Final = "urn:xmpp:delay"
DISCO_INFO: Final = "http://jabber.org/protocol/disco#info"
EME: Final = "urn:xmpp:eme:0"
HINTS: Final = "urn:xmpp:hints"
#: XEP-0478.
LIMITS: Final = "urn:xmpp:stream-limits:0"
#: XEP-0189 0.9: the version that has X.509 certificates; the name of the node, too.
PUBKEY: Final = "urn:xmpp:pubkey:0"
PUBSUB: Final = "http://jabber.org/protocol/pubsub"
PUBSUB_ERRORS: Final = f"{PUBSUB}#errors"
PUBSUB_OWNER: Final = f"{PUBSUB}#owner"
#: XEP-0257: the list of certificates that an account can be logged in to with.
SASLCERT: Final = "urn:xmpp:saslcert:1"
#: XEP-0359.
SID: Final = "urn:xmpp:sid:0"
SM: Final = "urn:xmpp:sm:3"
