"""Keys: who may send, read or manage. No I/O.

V7_API_KEYS has entries between commas or line ends. One without white space is a key, whatever else is in it, and may
send. With a name it is three words: the name, what it may (`+` joins several), the key. White space, because no key
that fits into an Authorization header can hold any: a colon or an equals sign may stand in one, and would be taken
for ours.

    s3cret, billing send s3cret2, grafana read sha256:2bb80d53…, ops send+manage s3cret4
"""

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

from .errors import ConfigurationError

Right = Literal["send", "read", "manage"]
RIGHTS: tuple[Right, ...] = ("send", "read", "manage")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
DIGEST_MARK = "sha256:"
DIGEST = re.compile(re.escape(DIGEST_MARK) + r"([0-9a-fA-F]{64})")
UNNAMED = "a key without a name"
ADMIN = "V7_ADMIN_TOKEN"
EXPECTED = "a key, or a name, what it may (send, read or manage, several joined by +) and a key, with spaces between"


class Key(NamedTuple):
    """A key, as far as we know it. Its name is for logs and accounts, and no secret."""

    name: str
    rights: frozenset[Right]
    digest: bytes
    secret: str | None
    """None where only its digest was given."""

    def may(self, right: Right) -> bool:
        return right in self.rights


class Keys:
    """All keys that a server knows."""

    def __init__(self, entries: Iterable[Key]) -> None:
        self.entries = tuple(entries)

    def any_may(self, right: Right) -> bool:
        """Whether there is a key with this right; where there is, one must be given."""
        return any(key.may(right) for key in self.entries)

    def find(self, given: bytes) -> Key | None:
        """The key that was given. It takes as long for each, and for none."""
        digest = hashlib.sha256(given).digest()
        found = None
        for key in self.entries:
            if hmac.compare_digest(digest, key.digest):
                found = key
        return found


def keys_of(api_keys: str | None, admin_token: str | None) -> Keys:
    """All keys of these two settings. Raises ConfigurationError, which never shows a part of one."""
    admin = [] if admin_token is None else [made(ADMIN, frozenset(RIGHTS), admin_token, ADMIN)]
    return Keys([*parsed(api_keys or ""), *admin])


def parsed(api_keys: str) -> list[Key]:
    """The entries of V7_API_KEYS. Raises ConfigurationError that names one by its place: its words may be secrets."""
    entries = [words for each in re.split(r"[,\r\n]", api_keys) if (words := each.split())]
    keys = [entry(words, f"Entry {place} of V7_API_KEYS") for place, words in enumerate(entries, 1)]
    known: dict[bytes, int] = {}
    for place, key in enumerate(keys, 1):
        first = known.setdefault(key.digest, place)
        if keys[first - 1][:2] != key[:2]:
            raise ConfigurationError(f"Entries {first} and {place} of V7_API_KEYS are the same key: give each its own.")
    return keys


def entry(words: list[str], where: str) -> Key:
    if len(words) == 1:
        return made(UNNAMED, frozenset({"send"}), words[0], where)
    rights = [right for right in RIGHTS if right in words[1].split("+")]
    if len(words) != 3 or not NAME.fullmatch(words[0]) or len(rights) != len(words[1].split("+")):
        raise ConfigurationError(f"{where} is (hidden): it must be {EXPECTED}.")
    if "manage" in rights:
        rights.append("read")
    return made(words[0], frozenset(rights), words[2], where)


def made(name: str, rights: frozenset[Right], secret: str, where: str) -> Key:
    if secret.startswith(DIGEST_MARK):
        found = DIGEST.fullmatch(secret)
        if not found:
            raise ConfigurationError(f"{where} is (hidden): after {DIGEST_MARK} it must have 64 hexadecimal digits.")
        return Key(name, rights, bytes.fromhex(found[1]), None)
    return Key(name, rights, hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest(), secret)


def is_loopback(host: str) -> bool:
    """Whether only programs on this machine reach this address, as HOST has it."""
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
