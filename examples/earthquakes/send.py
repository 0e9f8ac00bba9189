"""The week as events: its type from what it was, its priority from its magnitude."""

import http.client
import json
from pathlib import Path
from typing import Any

WEEK = Path(__file__).with_name("week.json")
EVENT_TYPES = {"earthquake": 1, "quarry blast": 2, "explosion": 3}
OTHER_TYPE = 9
NO_MAGNITUDE = 10_000


def features() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(WEEK.read_text())["features"]
    return found


def priority_of(feature: dict[str, Any]) -> int:
    """The stronger, the lower, and so the sooner: 6.4 is -640. What has no magnitude comes last."""
    magnitude = feature["properties"]["mag"]
    return NO_MAGNITUDE if magnitude is None else round(-100 * magnitude)


def event_of(feature: dict[str, Any], user_id: int = 1) -> dict[str, Any]:
    """The body of POST /api/event/v1."""
    kind = EVENT_TYPES.get(feature["properties"]["type"], OTHER_TYPE)
    return {
        "user_id": user_id,
        "priority": priority_of(feature),
        "event_data": feature,
        "event_type_id": kind,
    }


def send_all(host: str, port: int) -> list[int]:
    """Post every event of the week, in the order of the file; the ids of their jobs."""
    connection = http.client.HTTPConnection(host, port, timeout=30)
    ids = []
    for feature in features():
        body = json.dumps(event_of(feature))
        headers = {"Content-Type": "application/json", "X-Request-Id": feature["id"]}
        connection.request("POST", "/api/event/v1", body, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        if answer.status != 200:
            raise SystemExit(f"{feature['id']} was refused: {answer.status} {text}")
        ids.append(json.loads(text)["id"])
    connection.close()
    return ids
