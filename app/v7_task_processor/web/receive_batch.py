"""The route `POST /api/event/v1/batch`: many events in one request, in one commit."""

from urllib.parse import parse_qsl

import msgspec
from starlette.types import Receive, Scope

from ..settings import Settings
from . import trace
from .batch import ARRAY, BODIES, NDJSON, Batch, TooLarge, read
from .event import Refused, shown
from .ingest import Ingest
from .outcome import BUSY, Added, Failed, Outcome, Stopped, Written, not_known, of_batch, placed
from .problem import MEDIA_TYPE, OF_STATUS, Problem
from .receive import BODIES_BYTES_MAX, JSON, PATH, Answer, Headers, Receiver, failure, log, media_type

BATCH_PATH = PATH + "/batch"
LINES = b"application/x-ndjson"
FORMATS = {LINES: NDJSON, JSON: ARRAY}
PARTIAL = {"true": True, "false": False}


class BatchReceiver(Receiver):
    """Takes batches in."""

    path = BATCH_PATH
    media_types = tuple(FORMATS)
    busy = of_batch(BUSY)

    def __init__(self, settings: Settings, ingest: Ingest) -> None:
        super().__init__(settings, ingest)
        self.batches = ingest.batches
        self.event_bytes_max = settings.body_bytes_max
        self.body_bytes_max = BODIES * settings.body_bytes_max
        self.bodies_bytes_max = max(BODIES_BYTES_MAX, 2 * self.body_bytes_max)

    def worded(self, answer: Answer) -> Answer:
        """What is refused is a problem, as everywhere but where single events go."""
        if answer.status == 200:
            return answer
        failed = "not-added" if answer.known else "not-known"
        problem = Problem(OF_STATUS.get(answer.status, failed), answer.body.decode())
        return answer._replace(body=problem.encoded(), content_type=MEDIA_TYPE.encode())

    def refusal(self, scope: Scope, headers: Headers) -> Answer | None:
        """What can be refused by the head alone."""
        if refused := super().refusal(scope, headers):
            return refused
        if why := mode_refusal(scope):
            return Answer(400, why.encode(), close=self.must_close(headers))
        return None

    async def answer(self, scope: Scope, headers: Headers, receive: Receive, request_id: str) -> Answer:
        batch = await self.read(scope, headers, receive, request_id)
        if isinstance(batch, Answer):
            return batch
        try:
            outcome = await self.batches.add(batch)
        except Exception:
            log.exception("a batch was not taken as it should be", correlation_id=request_id)
            outcome = of_batch(not_known(batch))
        if isinstance(outcome, Written):
            return Answer(200, written(batch, outcome.outcomes), JSON)
        if isinstance(outcome, Stopped):
            place = f"{batch.noun} {batch.places[outcome.at]}"
            outcome = outcome.failed._replace(sentence=placed(outcome.failed.sentence, place))
        return failure(outcome)

    async def read(self, scope: Scope, headers: Headers, receive: Receive, request_id: str) -> Batch | Answer:
        """The batch, or the refusal of what is none. When it returns, the body's memory is free. Raises ClientLeft."""
        body = await self.body(receive)
        if isinstance(body, Answer):
            return body
        if self.bodies_bytes and self.bodies_bytes + len(body) > self.bodies_bytes_max:
            return failure(self.busy)
        self.bodies_bytes += len(body)
        key = headers.get(b"idempotency-key")
        try:
            return await read(
                body,
                FORMATS[media_type(headers)],
                self.event_bytes_max,
                request_id,
                partial=is_partial(scope),
                key=None if key is None else key.decode("ascii"),
                trace=trace.given(headers),
            )
        except Refused as refused:
            return Answer(400, str(refused).encode())
        except TooLarge as too_large:
            return Answer(413, str(too_large).encode())
        finally:
            self.bodies_bytes -= len(body)

    def too_large(self) -> Answer:
        sentence = (
            f"The batch is larger than {self.body_bytes_max} bytes, which is the limit; each of its events may have "
            f"{self.event_bytes_max} (V7_BODY_BYTES_MAX)."
        )
        return Answer(413, sentence.encode(), close=True)


def parameters(scope: Scope) -> list[tuple[str, str]]:
    return parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)


def mode_refusal(scope: Scope) -> str | None:
    """Why the part of the address behind the question mark is not understood; None: it is."""
    given = parameters(scope)
    for name, value in given:
        if name != "partial":
            return f'Unknown parameter "{shown(name)}"; {BATCH_PATH} takes partial only.'
        if value not in PARTIAL:
            return f"partial must be true or false, not {shown(value) or 'nothing'}."
    return "partial is given more than once." if len(given) > 1 else None


def is_partial(scope: Scope) -> bool:
    return any(PARTIAL[value] for _, value in parameters(scope))


def written(batch: Batch, outcomes: list[Outcome]) -> bytes:
    """The answer to a batch that was added: all ids, or what became of each line."""
    if not batch.partial:
        return msgspec.json.encode({"ids": [each.id for each in outcomes if isinstance(each, Added)]})
    results: dict[int, dict[str, object]] = {place: {"error": why} for place, why in batch.failures.items()}
    for place, each in zip(batch.places, outcomes, strict=True):
        results[place] = {"error": each.sentence} if isinstance(each, Failed) else {"id": each.id}
    return msgspec.json.encode({"results": [results[place] for place in sorted(results)]})
