"""Where each setting comes from, and what is said of a bad one."""

import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from v7_task_processor.errors import ConfigurationError
from v7_task_processor.settings import ENVIRONMENT, FILES, Settings, data_path, load

ROOT = Path(__file__).parents[1]
PASSWORD_IN_A_LOCAL = """
import logging
from v7_task_processor.observability import logs
from v7_task_processor.settings import Settings

settings = Settings(database_url="postgresql://ann:hunter2@host/db", api_keys="hunter2", log_format={0!r})
logs.configure(settings)

def fail():
    url, mine = settings.database_url, settings
    raise ValueError("of mine")

try:
    fail()
except ValueError:
    logs.get("test").exception("ours failed")
    logging.getLogger("theirs").exception("theirs failed")
"""


def refusal(**environment: str) -> str:
    with pytest.raises(ConfigurationError) as refused:
        load(environment=environment)
    return str(refused.value)


def test_flag_over_environment_over_env_file_over_default() -> None:
    Path(".env").write_text("V7_CONCURRENCY=3\nPORT=3\nHOST=file\nV7_MAX_RETRIES=3\n")
    environment = {"V7_CONCURRENCY": "2", "PORT": "2", "V7_RETENTION_DAYS": "2"}
    found = load({"concurrency": 1, "log_level": None, "host": None}, environment)
    assert (found.concurrency, found.port, found.host, found.max_retries) == (1, 2, "file", 3)
    assert (found.retention_days, found.log_level) == (2, "info")


def test_the_defaults_are_those_that_are_documented() -> None:
    found = load(environment={})
    assert (found.host, found.port, found.data_dir, found.api_processes) == ("127.0.0.1", 4000, ".v7", 1)
    assert (found.concurrency, found.max_retries, found.retry_seconds, found.timeout_seconds) == (16, 5, 1, 300)
    assert (found.retention_days, found.shutdown_seconds, found.grace_seconds) == (7, 25, 0)
    assert found.body_bytes_max == 2**20
    assert (found.database_url, found.handlers, found.api_keys, found.admin_token) == (None, None, None, None)
    assert found.worker_processes >= 1


def test_a_grace_period_is_part_of_the_time_to_shut_down() -> None:
    assert load(environment={"V7_GRACE_SECONDS": "5"}).grace_seconds == 5
    said = "V7_GRACE_SECONDS is 6: it is part of V7_SHUTDOWN_SECONDS, which is 6, and must be less."
    assert refusal(V7_GRACE_SECONDS="6", V7_SHUTDOWN_SECONDS="6") == said
    load(environment={"V7_SHUTDOWN_SECONDS": "0"})


def test_every_field_has_its_variable() -> None:
    assert sorted(ENVIRONMENT.values()) == sorted(Settings.__struct_fields__)
    assert {"DATABASE_URL", "HOST", "PORT", "LOG_LEVEL", "LOG_FORMAT", "V7_HANDLERS"} <= ENVIRONMENT.keys()


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_empty_means_not_set(name: str) -> None:
    assert load(environment={name: ""}) == load(environment={})


def test_spaces_around_a_value_do_not_count_and_case_of_words_neither() -> None:
    assert load(environment={"PORT": " 5 ", "LOG_LEVEL": "Warning "}) == load({"port": 5, "log_level": "warning"}, {})


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("V7_CONCURENCY", " Did you mean V7_CONCURRENCY?"),
        ("V7_PORT", " Did you mean PORT?"),
        ("V7_RETRIES_MAX", " Did you mean V7_MAX_RETRIES?"),
        ("V7_ZZZ", ""),
    ],
)
def test_an_unknown_setting_names_the_nearest(name: str, hint: str) -> None:
    assert refusal(**{name: "1"}) == f"Unknown setting {name} in the environment.{hint}"
    Path(".env").write_text(f"{name}=1\n")
    assert refusal() == f"Unknown setting {name} in .env.{hint}"


@pytest.mark.parametrize("name", ["DATABASE_URL", "V7_ADMIN_TOKEN", "V7_API_KEYS", "V7_HANDLERS", "HOST"])
def test_the_word_null_is_a_text_like_any_other(name: str) -> None:
    assert getattr(load(environment={name: "null"}), ENVIRONMENT[name]) == "null"


def test_what_is_not_ours_is_nobodys_business() -> None:
    assert load(environment={"V8_CONCURRENCY": "1", "V7_TEST_DATABASE_URL": "x", "PATH": "/bin"}) == load({}, {})


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("PORT", "70000", "a whole number from 0 to 65535"),
        ("PORT", "http", "a whole number from 0 to 65535"),
        ("V7_API_PROCESSES", "0", "a whole number from 1 to 64"),
        ("V7_WORKER_PROCESSES", "-1", "a whole number from 1 to 256"),
        ("V7_CONCURRENCY", "1.5", "a whole number from 1 to 1000"),
        ("V7_MAX_RETRIES", "-1", "a whole number from 0 to 1000"),
        ("V7_RETRY_SECONDS", "nan", "a number from 0 to 3600"),
        ("V7_RETRY_SECONDS", "inf", "a number from 0 to 3600"),
        ("V7_TIMEOUT_SECONDS", "0", "a number from more than 0 to 604800"),
        ("V7_RETENTION_DAYS", "true", "a whole number from 0 to 3650"),
        ("V7_SHUTDOWN_SECONDS", "1m", "a number from 0 to 3600"),
        ("V7_BODY_BYTES_MAX", "1MiB", "a whole number from 1024 to 67108864"),
        ("V7_HANDLERS", "", "a text that is not empty"),
        ("LOG_LEVEL", "verbose", "debug or info or warning or error"),
        ("LOG_FORMAT", "xml", "console or json"),
    ],
)
def test_a_bad_value_is_told_with_what_would_be_right(name: str, value: str, wanted: str) -> None:
    assert refusal(**{name: value or " "}) == f"{name} is {value!r}: it must be {wanted}."


@pytest.mark.parametrize(("name", "value"), [("V7_API_KEYS", "\tx, "), ("V7_ADMIN_TOKEN", "x"), ("DATABASE_URL", "x")])
def test_a_secret_is_never_shown(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise msgspec.ValidationError(value)

    monkeypatch.setattr(msgspec, "convert", refuse)
    assert refusal(**{name: value}).startswith(f"{name} is (hidden): it must be ")


def test_a_list_of_keys_without_a_key_is_refused_rather_than_let_everybody_in() -> None:
    assert refusal(V7_API_KEYS=" , ") == "V7_API_KEYS is (hidden): it must be one key or more, separated by commas."
    assert [key.secret for key in load(environment={"V7_API_KEYS": "a, b ,,c"}).keys.entries] == ["a", "b", "c"]
    assert load(environment={}).keys.entries == ()


def test_a_bad_key_is_told_at_once() -> None:
    assert refusal(V7_API_KEYS="a, shop sned s3cret").startswith(
        "Entry 2 of V7_API_KEYS is (hidden): it must be a key,"
    )
    assert refusal(V7_ADMIN_TOKEN="sha256:s3cret").startswith("V7_ADMIN_TOKEN is (hidden): ")


def test_settings_that_are_printed_show_no_secret() -> None:
    secrets = {"DATABASE_URL": "postgresql://ann:hunter2@x/y", "V7_API_KEYS": "hunter2", "V7_ADMIN_TOKEN": "hunter22"}
    printed = repr(load(environment={**secrets, "PORT": "4001"}))
    assert "port=4001" in printed
    assert "hunter2" not in printed


@pytest.mark.parametrize(("name", "field"), FILES.items())
def test_a_secret_may_stand_in_a_file(name: str, field: str) -> None:
    Path("secret").write_text(" s3cret\n")
    assert getattr(load(environment={name: "secret"}), field) == "s3cret"
    Path(".env").write_text(f"{name}=secret\n")
    assert getattr(load(environment={}), field) == "s3cret"
    variable = name.removesuffix("_FILE")
    assert getattr(load(environment={variable: "nearer"}), field) == "nearer", "the environment is over .env"
    assert getattr(load({field: "flag"}, {name: "there is none"}), field) == "flag"


@pytest.mark.parametrize("name", FILES)
def test_a_secret_comes_from_one_place(name: str) -> None:
    variable = name.removesuffix("_FILE")
    both = {variable: "s3cret", name: "secret"}
    assert refusal(**both) == f"{variable} and {name} are both set in the environment: keep one of them."
    assert load(environment={variable: "x", name: ""}) == load(environment={variable: "x"})


def test_a_file_that_holds_no_secret_is_told_by_its_name() -> None:
    Path("empty").write_text(" \n")
    Path("large").write_text("s3cret" * 20_000)
    Path("latin").write_bytes(b"s3cret\xff")
    for path, why in {
        "missing": "which cannot be read: No such file or directory",
        ".": "which cannot be read: Is a directory",
        "latin": "which cannot be read: not UTF-8",
        "empty": "which is empty",
        "large": "which is larger than 65536 bytes",
    }.items():
        assert refusal(V7_API_KEYS_FILE=path) == f"V7_API_KEYS_FILE names {path!r}, {why}."
    assert refusal(V7_CONCURRENCY_FILE="x").startswith("Unknown setting V7_CONCURRENCY_FILE")


def test_keys_in_a_file_stand_one_a_line() -> None:
    Path("keys").write_text("shop send k1\ngrafana read k2\n")
    names = [key.name for key in load(environment={"V7_API_KEYS_FILE": "keys"}).keys.entries]
    assert names == ["shop", "grafana"]


def test_event_types_are_as_large_as_those_of_handlers_and_events() -> None:
    least, most = -(2**63), 2**63 - 1
    assert load(environment={"V7_TYPES": f"{least}, 5,{most}"}).only_types == frozenset({least, 5, most})
    wanted = f"one event type or more, separated by commas, each a whole number from {least} to {most}"
    for wrong in (f"1,{most + 1}", str(least - 1), "1" * 5000, "1.5", "1,,2"):
        assert refusal(V7_TYPES=wrong) == f"V7_TYPES is {wrong!r}: it must be {wanted}."


def test_names_of_what_is_not_shown() -> None:
    assert load(environment={"V7_REDACT": " Password, card number ,"}).redacted == {"password", "card number"}
    assert load(environment={}).redacted == frozenset()
    assert refusal(V7_REDACT=" , ") == "V7_REDACT is ',': it must be one name or more, separated by commas."


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_traceback_in_the_log_shows_no_local_variables(log_format: str) -> None:
    command = [sys.executable, "-c", PASSWORD_IN_A_LOCAL.format(log_format)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    assert said.count("ValueError: of mine") == 2
    assert "hunter2" not in said


def test_the_data_folder_is_absolute_and_may_begin_at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert data_path(Settings()) == tmp_path / ".v7"
    assert data_path(Settings(data_dir="~/x")) == tmp_path / "home" / "x"


def test_the_documents_name_each() -> None:
    table = (Path(__file__).parents[1] / "docs" / "settings.md").read_text()
    assert [name for name in ENVIRONMENT if f"`{name}`" not in table] == []


def test_an_env_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".env").write_bytes("PORT=80\n".encode("utf-16"))
    assert refusal() == f"The file .env in {tmp_path} cannot be read: not UTF-8."


@pytest.mark.parametrize(
    "line", ['V7_API_KEYS="shop send ' + "k" * 32, "V7_ADMIN_TOKEN='x", "V7_DATA_DIR: /tmp", "V7_ADMIN_TOKEN x"]
)
def test_a_broken_line_is_not_passed_over(tmp_path: Path, line: str) -> None:
    """A key that got lost must not be as if there were none."""
    Path(".env").write_text(f"# ours\nHOST=0.0.0.0\n\n \n{line}\nPORT=80\n")
    said = refusal()
    assert said.startswith(f"Line 5 of the file .env in {tmp_path} is no setting: it must be NAME=value")
    assert line not in said


def test_the_file_means_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("c", "nothing")
    Path(".env").write_bytes(
        b"\xef\xbb\xbfexport V7_ADMIN_TOKEN=ab${c}d$c" + b"k" * 32 + b"\nNAME\nHOST='::1' # ours\n"
    )
    assert (load().admin_token, load().host) == ("ab${c}d$c" + "k" * 32, "::1")


def test_a_virtual_environment_may_be_called_that() -> None:
    Path(".env").mkdir()
    assert load() == Settings()


def test_a_file_for_compose_stands_beside_one_for_commands() -> None:
    """Both read `.env`: what compose.yaml takes from it, and is none of our settings, must not look like one."""
    taken = set(re.findall(r"\$\{(\w+)", (ROOT / "compose.yaml").read_text()))
    assert {"PROCESSOR_HANDLERS", "V7_HANDLERS"} <= taken
    Path(".env").write_text("".join(f"{name}=\n" for name in taken))
    assert load().handlers is None
