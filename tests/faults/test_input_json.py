"""Bodies that are no JSON, hardly JSON, or far too much of it. After JSONTestSuite: y is valid, n is not, i may be."""

import gzip
import time
from collections.abc import Iterator

import httpx
import psutil
import pytest

from ..conftest import fresh
from ..web.support import ApiProcess, body, process, rows

STORED = "select event_data::text from v7.jobs where id = %s"
COUNT = "select count(*) from v7.jobs"
LIMIT_BYTES = 16 * 2**20
CPU_SECONDS_MAX = 1.0

VALID = [
    *[b"[]", b"{}", b"[ ]", b"[[] ]", b'[""]', b"[null]", b"[true]", b"[false]", b"[1,null,null,null,2]", b'" "', b"7"],
    *[b"0", b"-0", b"-1", b"1e1", b"1E+2", b"1e-2", b"0e1", b"0e+1", b"123.456e78", b"-0.000001", b"1E22", b"0.10"],
    *[b'"\\u0060\\u012a\\u12AB"', b'"\\uD801\\udc37"', b'"\\"\\\\\\/\\b\\f\\n\\r\\t"', b'"\\\\u0000"', b'"\\u0000"'],
    *[
        b'"\\uDBFF\\uDFFF"',
        b'"\xef\xbf\xbf"',
        b'"\xf4\x8f\xbf\xbf"',
        b'"\xe2\x80\xa8\xe2\x80\xa9"',
        b'"\x7f"',
        b'"a/*b*/c"',
    ],
    *[
        b'{"":0}',
        b'{"a":"b","a":"b"}',
        b'{"a":"b","a":"c"}',
        b'{"foo\\u0000bar": 42}',
        b'{"a":[],"b":{}}',
        b'"\\uFFFE"',
    ],
    *[b"[1]\n", b"\n[1]", b" \t\r\n[1] ", b'["\\u0012"]', b'{"\\uDFAA":0}', b"[" * 512 + b"]" * 512, b'"\xc2\x85"'],
]
INVALID = [
    *[b"", b" ", b"[", b"]", b"[1", b"[1,", b"[1,]", b"[,1]", b"[,]", b"[1,,2]", b"[1]]", b"[1]x", b'["a"', b'["a",'],
    *[
        b"[1 2]",
        b"[1:2]",
        b'{"a" 1}',
        b'{"a":}',
        b'{"a":1,}',
        b'{"a":1,,"b":2}',
        b"{a:1}",
        b"{'a':1}",
        b"{1:1}",
        b'{"a":1',
    ],
    *[
        b'{"a":1}}',
        b'{"a":1}#',
        b'{"a":1}/**/',
        b'{"a":1}//',
        b"{[:1]}",
        b"[}",
        b"{]",
        b'{"a"',
        b'{"',
        b'{"a":"b"}"',
        b"<null>",
    ],
    *[
        b"nul",
        b"nulll",
        b"True",
        b"TRUE",
        b"tru",
        b"None",
        b"undefined",
        b"NaN",
        b"[NaN]",
        b"Inf",
        b"-Infinity",
        b"[-NaN]",
    ],
    *[
        b"+1",
        b"01",
        b"-01",
        b"1.",
        b".1",
        b"-",
        b"-.1",
        b"1e",
        b"1e+",
        b"1.e1",
        b"0x1F",
        b"1_000",
        b"1,000",
        b"0.1.2",
        b"- 1",
    ],
    *[
        b"1\xe5",
        b"\xef\xbc\x91",
        b"\xd9\xa1",
        b"[1+2]",
        b"2.e+3",
        b"0E",
        b"0e+",
        b"9.e+",
        b"-2.",
        b"1ea",
        b"++1",
        b"[1a]",
    ],
    *[
        b'"',
        b'"a',
        b"'a'",
        b'"\\x00"',
        b'"\\',
        b'"\\a"',
        b'"\\u"',
        b'"\\u00"',
        b'"\\u00A"',
        b'"\\uD800\\u"',
        b'"\\u{41}"',
        b'"a\nb"',
    ],
    *[
        b'"\t"',
        b'"\x00"',
        b'"\x1f"',
        b'\\u0020"a"',
        b'"a"b',
        b'["a"b]',
        b'"\\\xf0\x9f\x8c\x80"',
        b"\x0c[]",
        b"[\x0b1]",
        b"\xc2\xa0[]",
    ],
    *[
        b'"\xff"',
        b'"\xe9"',
        b'"\xc0\xaf"',
        b'"\xed\xa0\x80"',
        b'"\xf4\xbf\xbf\xbf"',
        b'"\xe0\xff"',
        b'"\x81"',
        b'"\xc3"',
    ],
    *[
        b"\xef\xbb\xbf{}",
        b"[1]\x00",
        b"\x00",
        b'"\xed\xa0\x81\xed\xb0\xb7"',
        b"[" * 513 + b"]" * 513,
        b"[" * 100_000,
        b'[{"":' * 50_000,
    ],
]
ANY = [
    *[b"1e400", b"-1e400", b"1e-400", b"123123e100000", b"0.4e006699999999999999999999999999999999999", b"1" * 4301],
    *[b"-" + b"9" * 400, b"100000000000000000000", b'"\\uD800"', b'"\\uDFFF\\uD800"', b'"\\ud800abc"', b'"\\uD800\\n"'],
]
WHOLE_INVALID = [
    b"\xef\xbb\xbf" + body(),
    body().decode().encode("utf-16"),
    body().decode().encode("utf-16-le"),
    body().decode().encode("utf-32"),
    body() + body(),
    body() + b",",
    b"[" + body() + b"]",
    b'"' + body().replace(b'"', b'\\"') + b'"',
    body()[:-1],
    body()[1:],
    b"\x1f\x8b\x08\x00" + body(),
    gzip.compress(body()),
]


@pytest.fixture(scope="module")
def url(server_url: str, template: str) -> Iterator[str]:
    yield from fresh(server_url, template)


@pytest.fixture(scope="module")
def api(url: str) -> Iterator[ApiProcess]:
    with process(url, body_bytes_max=LIMIT_BYTES) as made:
        yield made


def is_refused(answer: httpx.Response) -> bool:
    return answer.status_code == 400 and answer.text.startswith("Failed to parse event") and answer.text.isprintable()


def sent(api: ApiProcess, event_data: bytes) -> httpx.Response:
    return api.post(body("@").replace(b"@", event_data))


@pytest.mark.fault(59)
def test_what_is_json_comes_back_to_the_letter(api: ApiProcess, url: str) -> None:
    for event_data in VALID:
        answer = sent(api, event_data)
        assert answer.status_code == 200, (event_data[:80], answer.text)
        assert rows(url, STORED, answer.json()["id"]) == [(event_data.strip(b" \t\r\n").decode(),)]


@pytest.mark.fault(59)
def test_what_is_no_json_is_refused(api: ApiProcess, url: str) -> None:
    before = rows(url, COUNT)
    for event_data in INVALID:
        answer = sent(api, event_data)
        assert is_refused(answer), (event_data[:80], answer.status_code, answer.text)
    for whole in WHOLE_INVALID:
        answer = api.post(whole)
        assert is_refused(answer), (whole[:80], answer.status_code, answer.text)
    for cut in range(len(body())):
        assert is_refused(api.post(body()[:cut]))
    assert rows(url, COUNT) == before


@pytest.mark.fault(59, 61)
def test_what_other_parsers_change_is_kept_or_refused(api: ApiProcess, url: str) -> None:
    for event_data in ANY:
        answer = sent(api, event_data)
        if answer.status_code == 200:
            assert rows(url, STORED, answer.json()["id"]) == [(event_data.decode(),)]
        else:
            assert is_refused(answer), (event_data[:80], answer.status_code, answer.text)


LARGE = {
    "a million open brackets": b"[" * 10**6,
    "half a million brackets, and back": b"[" * 500_000 + b"]" * 500_000,
    "deep objects": b'{"a":' * 200_000,
    "brackets in a text": b'["' + b"[" * 10**6 + b'"]',
    "a million keys": b"{" + b",".join(b'"%d":0' % n for n in range(10**6)) + b"}",
    "a key a million times": b"{" + b",".join([b'"k":0'] * 10**6) + b"}",
    "a number of 4,301 digits": b"9" * 4301,
    "a number of a million digits": b"9" * 10**6,
    "a number beyond floats": b"1e400",
    "a million escapes": b'"' + b"\\n" * 10**6 + b'"',
    "quotes without end": b'"' + b'\\"' * 10**6,
    "spaces": b"[" + b" " * 10**6 + b"]",
}
WHOLE_LARGE = {
    "a user of a million digits": body().replace(b'"user_id": 1', b'"user_id": ' + b"9" * 10**6),
    "a user deep down": body().replace(b'"user_id": 1', b'"user_id": ' + b"[" * 10**6),
    "a field a hundred thousand times": b"{" + b",".join([b'"user_id": 1'] * 100_000) + b"}",
    "a hundred thousand fields": b"{" + b",".join(b'"f%d": 1' % n for n in range(100_000)) + b"}",
    "a field with a name of a million characters": b'{"' + b"x" * 10**6 + b'": 1}',
}


@pytest.mark.fault(61)
@pytest.mark.parametrize("name", [*LARGE, *WHOLE_LARGE])
def test_a_body_that_is_made_to_take_long(name: str, api: ApiProcess, url: str) -> None:
    """It takes little of our time, whatever becomes of it; a clock of its own is no use where cores are shared."""
    whole = WHOLE_LARGE.get(name) or body("@").replace(b"@", LARGE[name])
    asked = psutil.Process(api.process.pid)
    before = sum(asked.cpu_times()[:2])
    answer = api.post(whole)
    assert sum(asked.cpu_times()[:2]) - before < CPU_SECONDS_MAX
    if answer.status_code == 200:
        assert rows(url, STORED, answer.json()["id"]) == [(LARGE[name].decode(),)]
    else:
        assert is_refused(answer)
        assert len(answer.text) < 400


@pytest.mark.fault(65)
@pytest.mark.parametrize(
    "encoding", ["gzip", "GZIP", "x-gzip", "deflate", "br", "zstd", "gzip, identity", "identity, gzip"]
)
def test_a_compressed_body_is_not_unpacked(api: ApiProcess, url: str, encoding: str) -> None:
    """A megabyte here is a gigabyte there."""
    bomb = BOMB
    assert api.post(body()).status_code == 200  # what the first one takes, once, is not its
    asked = psutil.Process(api.process.pid)
    before, began = asked.memory_info().rss, time.monotonic()
    answer = api.post(bomb, content_encoding=encoding)
    assert (answer.status_code, answer.text.partition(" must")[0]) == (415, "Content-Encoding")
    assert asked.memory_info().rss - before < 8 * 2**20
    assert time.monotonic() - began < 10
    assert api.post(body()).status_code == 200


BOMB = gzip.compress(b"\0" * 100 * 2**20) * 10
"""Members of gzip behind each other are one: a megabyte."""
