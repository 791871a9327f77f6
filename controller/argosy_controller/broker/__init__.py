"""The MQTT broker as the controller sees it: started, watched, told of revocations, tried with attacks.

`start_broker` gives a `RunningBroker`, whichever kind it is; `attacks.check_broker` tries every known attack on any
broker by address. Nothing else in the controller knows which broker runs.
"""

from argosy_controller.broker.running import BrokerTls, RunningBroker
from argosy_controller.broker.start import start_broker

__all__ = ["BrokerTls", "RunningBroker", "start_broker"]
