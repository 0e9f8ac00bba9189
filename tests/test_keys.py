"""Keys: how they are written, what they may, and that nothing shows one."""

import hashlib

import pytest

from v7_task_processor.errors import ConfigurationError
from v7_task_processor.keys import ADMIN, UNNAMED, is_loopback, keys_of, parsed

DIGEST = "sha256:" + hashlib.sha256(b"s3cret").hexdigest()


def rights(api_keys: str) -> list[tuple[str, list[str]]]:
    return [(key.name, sorted(key.rights)) for key in parsed(api_keys)]


def refusal(api_keys: str | None, admin_token: str | None = None) -> str:
    with pytest.raises(ConfigurationError) as refused:
        keys_of(api_keys, admin_token)
    return str(refused.value)


def test_names_rights_and_keys() -> None:
    assert rights("a, b ,,c") == [(UNNAMED, ["send"])] * 3
    assert rights("shop send k1, grafana  read\tk2,ops manage k3\napp-1.x send+read k4\r\n") == [
        ("shop", ["send"]),
        ("grafana", ["read"]),
        ("ops", ["manage", "read"]),
        ("app-1.x", ["read", "send"]),
    ]
    assert rights(" ,\n, ") == []


@pytest.mark.parametrize("key", ["a:b", "billing:send:x", "x=read", "send", "a+b/c==", "sha256", "SHA256:x", "é", "#x"])
def test_what_holds_no_space_is_a_key_whatever_is_in_it(key: str) -> None:
    assert rights(key) == [(UNNAMED, ["send"])]
    found = keys_of(key, None).find(key.encode())
    assert found is not None
    assert found.secret == key


@pytest.mark.parametrize("admin_token", [None, "t0ken"])
def test_a_key_is_found_by_the_whole_of_it_and_by_nothing_else(admin_token: str | None) -> None:
    keys = keys_of("s3cret, shop send s3cret2", admin_token)
    assert [key.name for given in (b"s3cret", b"s3cret2") if (key := keys.find(given))] == [UNNAMED, "shop"]
    for given in (b"", b"s3cre", b"s3cret3", b"S3cret", b"shop", b"shop send s3cret2", b"\xff"):
        assert keys.find(given) is None


def test_the_admin_token_may_everything() -> None:
    found = keys_of(None, "t0ken with spaces").find(b"t0ken with spaces")
    assert found is not None
    assert (found.name, sorted(found.rights)) == (ADMIN, ["manage", "read", "send"])


def test_a_digest_lets_its_key_in_and_is_none_itself() -> None:
    for digest in (DIGEST, "sha256:" + DIGEST[7:].upper()):
        keys = keys_of(f"shop send {digest}", None)
        assert keys.find(b"s3cret") == keys.entries[0]
        assert keys.find(digest.encode()) is None
        assert keys.entries[0].secret is None
        assert keys_of(None, digest).find(b"s3cret") is not None


@pytest.mark.parametrize(
    ("api_keys", "place"),
    [
        ("s3cret s3nd", 1),
        ("a, shop sned s3cret", 2),
        ("a,, shop send+ s3cret", 2),
        ("shop send+send s3cret", 1),
        ("shop SEND s3cret", 1),
        ("shop send s3cret s3cret2", 1),
        ("send shop s3cret", 1),
        ("sh\x1bop send s3cret", 1),
        (f"{'n' * 65} send s3cret", 1),
        ("shop send sha256:s3cret", 1),
        (DIGEST + "0", 1),
    ],
)
def test_a_bad_entry_is_told_by_its_place_and_never_shown(api_keys: str, place: int) -> None:
    said = refusal(api_keys)
    assert said.startswith(f"Entry {place} of V7_API_KEYS is (hidden): ")
    assert not any(part in said for part in ("s3cret", "s3nd", "shop", DIGEST[7:]))


def test_one_key_has_one_name() -> None:
    assert refusal("a send s3cret, s3cret") == "Entries 1 and 2 of V7_API_KEYS are the same key: give each its own."
    assert refusal(f"a send s3cret, x, b send {DIGEST}").startswith("Entries 1 and 3 ")
    assert refusal("a send s3cret, a read s3cret").startswith("Entries 1 and 2 ")
    assert rights("s3cret, s3cret") == [(UNNAMED, ["send"])] * 2
    assert rights("a send new, a send old") == [("a", ["send"])] * 2


def test_a_bad_admin_token_is_not_shown() -> None:
    assert refusal(None, "sha256:s3cret") == (
        "V7_ADMIN_TOKEN is (hidden): after sha256: it must have 64 hexadecimal digits."
    )


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("LocalHost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.0.2.1", False),
        ("localhost.example", False),
        ("", False),
    ],
)
def test_addresses_that_only_this_machine_reaches(host: str, here: bool) -> None:
    assert is_loopback(host) is here
