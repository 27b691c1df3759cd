"""Shows the plugin's counters to Prometheus, on http://127.0.0.1:9200/metrics.

pip install prometheus-client
python metrics.py juliet@example.com --certificate juliet.crt --key juliet.key --anchors company-ca.pem
"""

import argparse
import asyncio
import getpass
import logging
from collections.abc import Iterator
from typing import Any

import slixmpp
from prometheus_client import start_http_server
from prometheus_client.core import REGISTRY, CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

import slixmpp_e2e


class E2ECollector(Collector):
    """Asks a source whenever Prometheus asks; nothing is counted twice, and nothing runs in between."""

    def __init__(self, source: slixmpp_e2e.MetricSource, account: str) -> None:
        self.source = source
        self.account = account

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        for metric in self.source.metrics():
            name = f"slixmpp_e2e_{metric.name.replace('-', '_')}"
            family: CounterMetricFamily | GaugeMetricFamily
            if metric.kind == "counter":
                family = CounterMetricFamily(name, "Stanzas, or what was done", labels=["account"])
            else:
                family = GaugeMetricFamily(name, "Entries that are remembered", labels=["account"])
            family.add_metric([self.account], metric.value)
            yield family


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("jid")
    parser.add_argument("--certificate", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--anchors", required=True, help="the CA's certificate")
    parser.add_argument("--port", type=int, default=9200)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO)

    async def run() -> None:
        xmpp = slixmpp.ClientXMPP(arguments.jid, getpass.getpass())
        options: dict[str, Any] = {
            "certificate": arguments.certificate,
            "private_key": arguments.key,
            "trust_anchors": arguments.anchors,
        }
        xmpp.register_plugin("e2e", options, module=slixmpp_e2e)
        xmpp.add_event_handler("session_start", lambda _: xmpp.send_presence())
        REGISTRY.register(E2ECollector(xmpp.plugin["e2e"], xmpp.boundjid.bare))
        start_http_server(arguments.port, addr="127.0.0.1")
        xmpp.connect()
        await xmpp.disconnected

    asyncio.run(run())


if __name__ == "__main__":
    main()
