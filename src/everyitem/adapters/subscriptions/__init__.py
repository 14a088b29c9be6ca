"""Subscriptions: how events of others reach a service through a broker."""

from everyitem.model.errors import UsageError
from everyitem.ports.subscription import Subscription

#: What consumers of one store share messages as.
GROUP = "everyitem"
#: Seconds after which what somebody received and did not take goes to another one.
REDELIVERY = 60.0
#: Messages received at a time.
AT_ONCE = 100


def build_subscription(publisher: str, url: str, topic: str, timeout: float) -> Subscription:
    """The subscription to a topic of a broker. Raises `UsageError` for one that cannot be had."""
    try:
        match publisher:
            case "kafka":
                from everyitem.adapters.subscriptions.kafka import KafkaSubscription

                return KafkaSubscription(url, topic=topic, timeout=timeout)
            case "nats":
                from everyitem.adapters.subscriptions.nats import NatsSubscription

                return NatsSubscription(url, topic=topic, timeout=timeout)
            case "rabbitmq":
                from everyitem.adapters.subscriptions.rabbitmq import RabbitSubscription

                return RabbitSubscription(url, topic=topic, timeout=timeout)
            case "redis":
                from everyitem.adapters.subscriptions.redis import RedisSubscription

                return RedisSubscription(url, topic=topic, timeout=timeout)
    except ImportError as error:
        raise UsageError(
            f"[events] listen: this needs the extra 'events-{publisher}' ({error}); "
            f"install it with `pip install 'everyitem[events-{publisher}]'`"
        ) from error
    raise UsageError(f"[events] listen: nothing can be heard from a {publisher or 'publisher that is none'}")
