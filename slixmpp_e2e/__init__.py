"""End-to-end security on X.509 certificates for slixmpp (RFC 3923).

Importing this package makes the plugin `e2e` known to slixmpp:

    xmpp.register_plugin("e2e", {...}, module=slixmpp_e2e)
"""

from slixmpp.plugins.base import register_plugin

from slixmpp_e2e.certificates.conditions import (
    AllOf,
    AnyOf,
    Authenticated,
    CertificatePolicy,
    Condition,
    ConditionError,
    Encrypted,
    Names,
    SignedBy,
    TrustedBy,
)
from slixmpp_e2e.certificates.ocsp import OCSPResponse
from slixmpp_e2e.certificates.revocation import Evidence, RevocationSource
from slixmpp_e2e.certificates.revocation_list import RevocationList
from slixmpp_e2e.endpoint import Endpoint
from slixmpp_e2e.errors import (
    CertificateError,
    CertificatesOnlyError,
    ConfigurationError,
    E2EError,
    InvalidStanzaError,
    LocalError,
    MalformedError,
    NoCertificateError,
    PublicationError,
    RefusedError,
    RemoteError,
    RevocationError,
    SignatureError,
    StoreError,
    TimestampError,
    TooLargeError,
    UnconfirmedError,
    UndecryptableError,
    UnprotectableError,
)
from slixmpp_e2e.plugin.certificate_search import CertificateResolver
from slixmpp_e2e.plugin.metrics import Metric, MetricSource
from slixmpp_e2e.plugin.plugin import E2EPlugin
from slixmpp_e2e.plugin.stanzas import Downgrade, ReceiveFailure, Rejection, SendFailure
from slixmpp_e2e.policy import Level
from slixmpp_e2e.report import SecurityReport, Trust

__version__ = "0.1.0.dev0"

register_plugin(E2EPlugin)

__all__ = [
    "AllOf",
    "AnyOf",
    "Authenticated",
    "CertificateError",
    "CertificatePolicy",
    "CertificateResolver",
    "CertificatesOnlyError",
    "Condition",
    "ConditionError",
    "ConfigurationError",
    "Downgrade",
    "E2EError",
    "E2EPlugin",
    "Encrypted",
    "Endpoint",
    "Evidence",
    "InvalidStanzaError",
    "Level",
    "LocalError",
    "MalformedError",
    "Metric",
    "MetricSource",
    "Names",
    "NoCertificateError",
    "OCSPResponse",
    "PublicationError",
    "ReceiveFailure",
    "RefusedError",
    "Rejection",
    "RemoteError",
    "RevocationError",
    "RevocationList",
    "RevocationSource",
    "SecurityReport",
    "SendFailure",
    "SignatureError",
    "SignedBy",
    "StoreError",
    "TimestampError",
    "TooLargeError",
    "Trust",
    "TrustedBy",
    "UnconfirmedError",
    "UndecryptableError",
    "UnprotectableError",
]
