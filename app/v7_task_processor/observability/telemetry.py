"""One event for each transition; logs and metrics subscribe to them."""

from collections.abc import Callable, Mapping

Subscriber = Callable[[str, Mapping[str, object]], None]
_subscribers: list[Subscriber] = []


def subscribe(subscriber: Subscriber) -> None:
    """Have `subscriber(event, fields)` called at each event. It must be quick, and must not raise."""
    _subscribers.append(subscriber)


def publish(event: str, **fields: object) -> None:
    """Tell of a transition: `job.dead`, `worker.crashed`. Costs a truth test where nobody listens."""
    for subscriber in _subscribers:
        subscriber(event, fields)
