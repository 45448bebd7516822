"""The one way to a broker, for store and cloud alike: a small protocol, and aiomqtt behind it.

Nobody else imports an MQTT library, so that a simulated broker can stand in its place, byte for byte.
"""

from mqtt_link.aio import AiomqttPort
from mqtt_link.port import Incoming, LinkLostError, MqttConnection, MqttPort, Will
from mqtt_link.url import BadUrlError, BrokerUrl

__all__ = [
    "AiomqttPort",
    "BadUrlError",
    "BrokerUrl",
    "Incoming",
    "LinkLostError",
    "MqttConnection",
    "MqttPort",
    "Will",
]
