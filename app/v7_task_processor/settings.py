"""One frozen Settings: flag over environment over `.env` over default, checked once, at start."""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import msgspec
from dotenv.parser import parse_stream
from msgspec import Meta

from . import keys
from .errors import ConfigurationError
from .keys import Keys

Text = Annotated[str, Meta(min_length=1)]
Types = Annotated[str, Meta(pattern=r"^\s*-?\d{1,19}(\s*,\s*-?\d{1,19})*\s*$")]
BIGINT = range(-(2**63), 2**63)
"""What an event type can be."""
LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["console", "json"]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a process runs with. Each field is an environment variable: `ENVIRONMENT` has the names."""

    database_url: Text | None = None
    direct_database_url: Text | None = None
    host: Text = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 4000
    handlers: Text | None = None
    types: Types | None = None
    data_dir: Text = ".v7"
    api_processes: Annotated[int, Meta(ge=1, le=64)] = 1
    worker_processes: Annotated[int, Meta(ge=1, le=256)] = msgspec.field(default_factory=lambda: os.cpu_count() or 1)
    concurrency: Annotated[int, Meta(ge=1, le=1000)] = 16
    max_retries: Annotated[int, Meta(ge=0, le=1000)] = 5
    retry_seconds: Annotated[float, Meta(ge=0, le=3600)] = 1.0
    timeout_seconds: Annotated[float, Meta(gt=0, le=7 * 86400)] = 300.0
    retention_days: Annotated[int, Meta(ge=0, le=3650)] = 7
    shutdown_seconds: Annotated[float, Meta(ge=0, le=3600)] = 25.0
    grace_seconds: Annotated[float, Meta(ge=0, le=3600)] = 0.0
    body_bytes_max: Annotated[int, Meta(ge=1024, le=64 * 2**20)] = 2**20
    api_keys: Text | None = None
    admin_token: Text | None = None
    redact: Text | None = None
    log_level: LogLevel = "info"
    log_format: LogFormat = "console"

    def __repr__(self) -> str:
        shown = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in shown if name not in SECRET)}, …)"

    @property
    def session_url(self) -> str | None:
        """Where a session lasts: what listens, beats or migrates goes past the pooler, if there is a way."""
        return self.direct_database_url or self.database_url

    @property
    def keys(self) -> Keys:
        """All keys that open something: those of V7_API_KEYS, and V7_ADMIN_TOKEN."""
        return keys.keys_of(self.api_keys, self.admin_token)

    @property
    def redacted(self) -> frozenset[str]:
        """The keys of event_data, in small letters, whose values are not shown."""
        return frozenset(name.strip().casefold() for name in (self.redact or "").split(",") if name.strip())

    @property
    def only_types(self) -> frozenset[int] | None:
        """The event types that this node shall handle, of those that its handlers serve; None: all of them."""
        return None if self.types is None else frozenset(map(int, self.types.split(",")))


UNPREFIXED = ("DATABASE_URL", "HOST", "PORT", "LOG_LEVEL", "LOG_FORMAT")
ENVIRONMENT: dict[str, str] = {
    name.upper() if name.upper() in UNPREFIXED else f"V7_{name.upper()}": name for name in Settings.__struct_fields__
}
"""Environment variable to field."""
SECRET = ("database_url", "direct_database_url", "api_keys", "admin_token")
"""Fields whose values are never shown, and which may stand in a file that `<variable>_FILE` names."""
FILES: dict[str, str] = {f"{name}_FILE": field for name, field in ENVIRONMENT.items() if field in SECRET}
SECRET_BYTES_MAX = 65_536


class InFile(NamedTuple):
    """A value that stands in a file, as Docker and Kubernetes hand out secrets."""

    variable: str
    path: str


def load(flags: Mapping[str, object] | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings. `flags` are fields by name, None where the flag was not given.

    Raises ConfigurationError that names the variable and says what would be right.
    """
    environment = os.environ if environment is None else environment
    file = dotenv()
    for source, names in (("the environment", environment), (".env", file)):
        refuse_unknown(names, source)
    values: dict[str, object] = {**given(file, ".env"), **given(environment, "the environment")}
    values |= {field: value for field, value in (flags or {}).items() if value is not None}
    for field, value in values.items():
        values[field] = checked(field, read(value) if isinstance(value, InFile) else value)
    settings = Settings(**values)  # type: ignore[arg-type]
    if settings.grace_seconds and settings.grace_seconds >= settings.shutdown_seconds:
        raise ConfigurationError(
            f"V7_GRACE_SECONDS is {settings.grace_seconds:g}: it is part of V7_SHUTDOWN_SECONDS, "
            f"which is {settings.shutdown_seconds:g}, and must be less."
        )
    return settings


def dotenv() -> dict[str, str]:
    """What stands in the file `.env` where one stands, if there is one. `${…}` stands for itself."""
    try:
        with Path(".env").open(encoding="utf-8-sig") as opened:
            lines = list(parse_stream(opened))
    except (FileNotFoundError, IsADirectoryError):  # a virtual environment may be called that
        return {}
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigurationError(f"The file .env in {Path.cwd()} cannot be read: {why}.") from None
    for line in lines:
        if line.error:  # a key may stand in it, and to go on would be to go on without
            text = line.original.string
            number = line.original.line + text[: len(text) - len(text.lstrip())].count("\n")
            raise ConfigurationError(
                f"Line {number} of the file .env in {Path.cwd()} is no setting: it must be NAME=value, and where a "
                "quote begins it must end."
            )
    return {line.key: line.value for line in lines if line.key is not None and line.value is not None}


def given(names: Mapping[str, str], source: str) -> dict[str, object]:
    """What a source says, by field. An empty value means "not set": `-e NAME=` and CI systems leave it behind."""
    values: dict[str, object] = {field: names[name] for name, field in ENVIRONMENT.items() if names.get(name)}
    for name, field in FILES.items():
        if path := names.get(name):
            if field in values:
                both = f"{name.removesuffix('_FILE')} and {name}"
                raise ConfigurationError(f"{both} are both set in {source}: keep one of them.")
            values[field] = InFile(name, path)
    return values


def read(file: InFile) -> str:
    """What stands in the file. An empty one is an error: no key must not be the same as a key that got lost."""
    try:
        with Path(file.path).open("rb") as opened:
            text = opened.read(SECRET_BYTES_MAX + 1).decode()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigurationError(f"{file.variable} names {file.path!r}, which cannot be read: {why}.") from None
    if not text.strip() or len(text) > SECRET_BYTES_MAX:
        state = "is empty" if not text.strip() else f"is larger than {SECRET_BYTES_MAX} bytes"
        raise ConfigurationError(f"{file.variable} names {file.path!r}, which {state}.")
    return text


def refuse_unknown(names: Mapping[str, str], source: str) -> None:
    """A misspelt V7_… would be ignored in silence, and the default taken for the wish."""
    known = {**ENVIRONMENT, **FILES}
    for name in sorted(names):
        if name.startswith("V7_") and name not in known and not name.startswith("V7_TEST_"):
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise ConfigurationError(f"Unknown setting {name} in {source}.{hint}")


def checked(field: str, value: object) -> object:
    hint = get_type_hints(Settings, include_extras=True)[field]
    if get_origin(hint) is Union:  # with None, which is no value that one could give: "null" is a text
        hint = get_args(hint)[0]
    try:
        if isinstance(value, str):
            value = value.strip()
        if field in ("log_level", "log_format"):
            value = str(value).lower()
        converted = msgspec.convert(value, hint, strict=False)
    except msgspec.ValidationError:
        name = next(name for name, each in ENVIRONMENT.items() if each == field)
        shown = "(hidden)" if field in SECRET else repr(value)
        raise ConfigurationError(f"{name} is {shown}: it must be {wanted(hint)}.") from None
    refuse_parts(field, str(converted))
    return converted


def refuse_parts(field: str, value: str) -> None:
    """What is wrong inside of a value that has parts. Nothing is: "," (two variables that were empty) must not mean
    that no key is asked for."""
    if field == "types" and not all(int(each) in BIGINT for each in value.split(",")):
        raise ConfigurationError(f"V7_TYPES is {value!r}: it must be {wanted(Types)}.")
    if field == "api_keys" and not keys.parsed(value):
        raise ConfigurationError("V7_API_KEYS is (hidden): it must be one key or more, separated by commas.")
    if field == "admin_token":
        keys.keys_of(None, value)
    if field == "redact" and not Settings(redact=value).redacted:
        raise ConfigurationError(f"V7_REDACT is {value!r}: it must be one name or more, separated by commas.")


def wanted(hint: Any) -> str:
    """What a field takes, in words, from its type."""
    if hint == Types:
        return f"one event type or more, separated by commas, each a whole number from {BIGINT[0]} to {BIGINT[-1]}"
    if get_origin(hint) is Literal:
        return " or ".join(get_args(hint))
    kind, meta = get_args(hint) if get_origin(hint) is Annotated else (hint, Meta())
    if kind is str or not isinstance(meta, Meta):
        return "a text that is not empty"
    low = meta.ge if meta.ge is not None else f"more than {meta.gt}"
    return f"a {'whole number' if kind is int else 'number'} from {low} to {meta.le}"


def data_path(settings: Settings) -> Path:
    """The folder of the embedded Postgres and of what a node notes for its successor."""
    return Path(settings.data_dir).expanduser().absolute()
