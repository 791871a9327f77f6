"""amqtt as shipped, with the obvious plugin for certificates and topics: what the attacks must be able to break."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from typing import Any

from amqtt.broker import Broker
from amqtt.contexts import Action
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin

from argosy_controller.broker import rules


def certificate_name(session: Any) -> str | None:
    facts = session.ssl_object.getpeercert() if session.ssl_object else None
    return dict(part[0] for part in facts["subject"])["commonName"] if facts else None


class CertificateIsClientId(BaseAuthPlugin):
    async def authenticate(self, *, session: Any) -> bool:
        return certificate_name(session) == session.client_id

    @dataclass
    class Config:
        pass


class OwnTopics(BaseTopicPlugin):
    async def topic_filtering(self, *, session: Any = None, topic: str = "", action: Any = None) -> bool:
        allowed = rules.may_publish if action == Action.PUBLISH else rules.may_subscribe
        return allowed(certificate_name(session) or "", topic)

    @dataclass
    class Config:
        pass


async def main(config: dict[str, Any]) -> None:
    listener = {"type": "tcp", "bind": f"127.0.0.1:{config['port']}", "ssl": True, "cafile": config["ca"]}
    listener |= {"certfile": config["certificate"], "keyfile": config["key"]}
    plugins = {"shipped_amqtt.CertificateIsClientId": {}, "shipped_amqtt.OwnTopics": {}}
    await Broker({"listeners": {"default": listener}, "plugins": plugins}).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
