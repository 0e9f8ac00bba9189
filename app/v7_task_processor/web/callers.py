"""Who asks: the key that a request carries, and whether it may."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from ..keys import UNNAMED, Key, Keys, Right
from ..queue import Hand

Headers = Mapping[bytes, bytes]
ANYONE_HERE = "anyone on this machine"
HOW = "send it as Authorization: Bearer <key> or as X-API-Key"


class Caller(NamedTuple):
    """Who made a request that was let in. `key` is None where none was needed."""

    key: Key | None
    host: str

    @property
    def who(self) -> str:
        """For logs and accounts: the key's name, never the key itself, and where it came from."""
        return f"{self.key.name}, from {self.host}" if self.key else f"from {self.host}"

    @property
    def hand(self) -> Hand:
        """Who, for the audit."""
        return Hand(self.key.name if self.key else ANYONE_HERE, "api")


class Refusal(NamedTuple):
    """Why a request is not let in, as a sentence: 401 without a key that is known, 403 with one that may not."""

    status: Literal[401, 403]
    sentence: str


def given(headers: Headers) -> bytes | None:
    """The key that a request carries."""
    key = headers.get(b"x-api-key")
    if key is not None:
        return key
    scheme, _, credentials = headers.get(b"authorization", b"").partition(b" ")
    return credentials.strip() if scheme.lower() == b"bearer" else None


def let_in(keys: Keys, right: Right, headers: Headers) -> Key | Refusal:
    """The key by which this request may."""
    sent = given(headers)
    key = None if sent is None else keys.find(sent)
    if key is None:
        return Refusal(401, f"A key that may {right} is needed: {HOW}.")
    if not key.may(right):
        name = "This key" if key.name == UNNAMED else f"The key {key.name}"
        may = " and ".join(each for each in ("send", "read", "manage") if each in key.rights)
        return Refusal(403, f"{name} may {may} only; a key that may {right} is needed here.")
    return key
