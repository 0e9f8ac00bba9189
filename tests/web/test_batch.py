"""How a body is taken apart into events, and that others have their turn meanwhile."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from v7_task_processor.web import batch as module
from v7_task_processor.web.batch import ARRAY, NDJSON, Batch, Format, TooLarge, elements, read
from v7_task_processor.web.event import Refused

from .support import body

BYTES_MAX = 10_000
NO_ARRAY = (
    "Failed to parse event: the body must be a JSON array of events, since its Content-Type is application/json; "
    "one event a line is application/x-ndjson."
)
MISSING = "Failed to parse event: the field user_id is missing."


async def taken(
    content: bytes, form: Format = NDJSON, *, partial: bool = False, key: str | None = None, bytes_max: int = BYTES_MAX
) -> Batch:
    return await read(content, form, bytes_max, "c", partial=partial, key=key)


def stored(batch: Batch) -> list[str]:
    return [event.event_data for event in batch.events]


def pieces(content: bytes, bytes_max: int = BYTES_MAX) -> list[bytes]:
    return [piece for piece in elements(content, bytes_max) if piece is not None]


AS_SENT = ["1E5", r'"\u0000"', r'"\ud800"', '{"a":1, "a" :[2, {"b": []}]}', '"]}, [{\\" ,"', "[[1],[2]]", '"é\u2028"']


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"", b"\n\n", b"\r\n\r\n", b"\n \t"])
async def test_each_line_is_an_event_to_the_letter(end: bytes) -> None:
    between = b"\r\n" if end.startswith(b"\r") else b"\n"
    batch = await taken(between.join(body(each) for each in AS_SENT) + end, partial=True)
    assert batch.failures == {}
    assert stored(batch) == AS_SENT
    assert batch.places == [1, 2, 3, 4, 5, 6, 7]
    assert {(e.event_type_id, e.user_id, e.priority, e.correlation_id) for e in batch.events} == {(3, 1, 2, "c")}


@pytest.mark.parametrize(("first", "between", "last"), [(b"[", b",", b"]"), (b" [\n", b" ,\r\n\t", b"\n]\n")])
async def test_each_element_is_an_event_to_the_letter(first: bytes, between: bytes, last: bytes) -> None:
    content = first + between.join(body(each) for each in AS_SENT) + last
    assert stored(await taken(content, ARRAY)) == AS_SENT


@settings(max_examples=50)
@given(
    st.lists(
        st.recursive(
            st.none() | st.integers() | st.text(alphabet='[]{}",:\\a é'),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(alphabet='[{"\\'), inner),
        )
    ),
    st.sampled_from([None, 1]),
)
def test_any_json_array_is_cut_between_its_elements(values: list[Any], indent: int | None) -> None:
    assert [json.loads(piece) for piece in pieces(json.dumps(values, indent=indent).encode())] == values


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", NO_ARRAY),
        (b"{}", NO_ARRAY),
        (body(), NO_ARRAY),
        (b"[]", "Failed to parse event: the body holds no event; send at least one element."),
        (b"[ \n]", "Failed to parse event: the body holds no event; send at least one element."),
        (b"[", "Failed to parse event: not JSON: the array of events does not end (byte 1)."),
        (b"[%b" % body(), "Failed to parse event: not JSON: the array of events does not end (byte %d)."),
        (b"[%b}" % body(), "Failed to parse event: not JSON: the array of events does not end (byte %d)."),
        (b'["a, %b]' % body("1").replace(b'"', b""), "Failed to parse event: not JSON: the array of events does not"),
        (b"[%b] []" % body(), "Failed to parse event: not JSON: something follows the end of the array (byte %d)."),
        (b"[%b,]" % body(), "Failed to parse event: element 2: it is empty; it must be a JSON object with the fields"),
        (b"[%b, {}]" % body(), "Failed to parse event: element 2: the field user_id is missing."),
        (b"[1]", "Failed to parse event: element 1: it must be a JSON object with the fields"),
        (b"[%b %b]" % (body(), body()), "Failed to parse event: element 1: not JSON: something follows the end"),
    ],
)
async def test_what_is_no_array_of_events(content: bytes, sentence: str) -> None:
    with pytest.raises(Refused) as caught:
        await taken(content, ARRAY)
    assert str(caught.value).startswith(sentence.split("%d")[0])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "Failed to parse event: the body holds no event; send at least one line."),
        (b"\n", "Failed to parse event: the body holds no event; send at least one line."),
        (b"\n\n", "Failed to parse event: line 1: it is empty; it must be a JSON object with the fields"),
        (body() + b"\n\n\n", "Failed to parse event: line 2: it is empty; it must be"),
        (body() + b"\n\n" + body(), "Failed to parse event: line 2: it is empty; it must be"),
        (body() + b"\n{}\n" + body(), "Failed to parse event: line 2: the field user_id is missing."),
        (body() + b"\n" + body("1")[:-1] + b"\xff", "Failed to parse event: line 2: not UTF-8: invalid start byte"),
        (b"[%b]" % body(), "Failed to parse event: line 1: it must be a JSON object with the fields"),
        (body("{\n}"), "Failed to parse event: line 1: not JSON"),
    ],
)
async def test_a_line_that_is_no_event_is_named(content: bytes, sentence: str) -> None:
    with pytest.raises(Refused) as caught:
        await taken(content)
    assert str(caught.value).startswith(sentence)


async def test_partial_keeps_what_is_wrong_beside_what_is_right() -> None:
    lines = [body("1"), b"{}", b"", body("2"), b"no"]
    batch = await taken(b"\n".join(lines), partial=True)
    assert (stored(batch), batch.places) == (["1", "2"], [1, 4])
    assert list(batch.failures) == [2, 3, 5]
    assert batch.failures[2] == MISSING
    assert (await taken(b"{}", partial=True)).events == []


async def test_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVENTS_MAX", 3)
    assert len((await taken(b"\n".join([body()] * 3))).events) == 3
    sentence = r"^The batch has more than 3 events, which is the limit; send several\.$"
    for content, form in ((b"\n".join([body()] * 4), NDJSON), (b"[%b]" % b",".join([body()] * 4), ARRAY)):
        for partial in (False, True):
            with pytest.raises(TooLarge, match=sentence):
                await taken(content, form, partial=partial)


async def test_an_event_of_the_largest_size_and_one_byte_more() -> None:
    largest = body('"%s"' % ("x" * 1000))
    for form, content in ((NDJSON, b"%b\n%b\n"), (ARRAY, b"[%b,%b]")):
        kept = await taken(content % (body(), largest), form, bytes_max=len(largest))
        assert len(kept.events) == 2
        with pytest.raises(TooLarge) as caught:
            await taken(content % (body(), largest), form, bytes_max=len(largest) - 1, partial=True)
        assert str(caught.value) == (
            f"The event in {form.noun} 2 is larger than {len(largest) - 1} bytes, "
            "which is the limit of each (V7_BODY_BYTES_MAX)."
        )


async def test_an_element_without_end_is_not_looked_through_to_its_end() -> None:
    with pytest.raises(TooLarge, match="element 1"):
        pieces(b"[" * BYTES_MAX * 2)
    with pytest.raises(TooLarge, match="element 1"):
        pieces(b'["' + b"x" * BYTES_MAX * 2 + b'"]')
    with pytest.raises(TooLarge, match="element 2"):
        pieces(b'[1, [{"' + b"x" * BYTES_MAX * 2 + b'"}]]')
    with pytest.raises(Refused, match="does not end"):
        pieces(b'["' + b"x" * BYTES_MAX)


async def turns_during(content: bytes, form: Format) -> int:
    """How often another task had its turn while a body was read."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    await taken(content, form, partial=True, bytes_max=10**6)
    task.cancel()
    return turns


async def test_others_have_their_turn_while_a_batch_is_read() -> None:
    small = [body()] * 1000
    assert await turns_during(b"\n".join(small), NDJSON) >= 1000 // module.TURN_EVENTS - 1
    assert await turns_during(b"[%b]" % b",".join(small), ARRAY) >= 1000 // module.TURN_EVENTS - 1
    large = [body('"%s"' % ("x" * 100_000))] * 20
    assert await turns_during(b"\n".join(large), NDJSON) >= 9
    deep = b"[%b]" % b",".join([b"[[" * 4000 + b"1" + b"]]" * 4000] * 3)
    assert await turns_during(deep, ARRAY) >= 3 * 16_000 // module.STEPS - 1


async def test_under_a_key_each_event_has_its_own() -> None:
    lines = [b"{}", body("1"), body("2"), body("3")]
    batch = await taken(b"\n".join(lines), partial=True, key="k")
    assert [event.key for event in batch.cut(0, 3)] == ["k", "k\n3", "k\n4"]
    assert [event.key for event in batch.cut(1, 3)] == ["k\n3", "k\n4"]
    assert {event.digest for event in batch.cut(0, 3)} == {batch.digest}
    assert [event.key for event in (await taken(body())).cut(0, 1)] == [None]


async def test_a_batch_is_told_from_another_by_its_events() -> None:
    async def digest(content: bytes, form: Format = NDJSON) -> bytes:
        return (await taken(content, form, partial=True, key="k")).digest

    one, two = body("1"), body("2")
    first = await digest(one + b"\n" + two)
    assert await digest(one + b" \r\n" + two + b"\n") == first
    assert await digest(b"[%b, %b]" % (one, two), ARRAY) == first
    others = [two + b"\n" + one, one, one + b"\n" + two + b"\n" + two, b"\n" + one + b"\n" + two]
    others.append(one + b"\n" + body("2", priority=9))
    assert first not in [await digest(other) for other in others]


@settings(max_examples=200)
@given(
    st.lists(st.binary() | st.text(alphabet='[]{}",:\\ue0123d8.-+ntrfals\n').map(body) | st.just(body("[[1], {}]"))),
    st.sampled_from([b"\n", b",", b" , "]),
    st.sampled_from([b"[%b]", b"%b", b"[[%b]", b'["%b]']),
    st.booleans(),
)
def test_no_arbitrary_bytes_are_an_error_of_ours(
    parts: list[bytes], between: bytes, around: bytes, partial: bool
) -> None:
    content = around % between.join(parts)
    for form in (NDJSON, ARRAY):
        try:
            batch = asyncio.run(taken(content, form, partial=partial))
        except Refused as refused:
            assert str(refused).startswith("Failed to parse event: ")
            assert str(refused).isprintable()
        else:
            assert all(event.event_data.encode() in content for event in batch.events)
            assert sorted([*batch.places, *batch.failures]) == list(
                range(1, len(batch.places) + len(batch.failures) + 1)
            )
