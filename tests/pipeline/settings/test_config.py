from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel, ValidationError

from db.connection import address
from models import plain_yaml
from pipeline.errors import SettingsError
from pipeline.settings import config

SHIPPED = Path(__file__).parents[3] / "config.yaml"


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "config.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_an_empty_file_gives_the_defaults_relative_to_itself(write, tmp_path: Path) -> None:
    settings = config.load(write(""))
    assert settings.inboxes == (tmp_path / "inbox",)
    assert settings.spool == tmp_path / "state" / "spool"
    assert settings.database_url == f"sqlite:///{tmp_path}/state/pawsort.db"


@pytest.mark.parametrize("name", ["My%20Pets", "what?", "50%", "a?b=c#d", "a+b & c", "x%3F"])
@pytest.mark.parametrize("line", ["", "database: sqlite:///state/pawsort.db"])
def test_the_database_lies_in_the_state_whatever_the_folder_is_called(
    tmp_path: Path, name: str, line: str
) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "config.yaml").write_text(line)
    url = config.load(tmp_path / name / "config.yaml").database_url
    assert address.location(address.parse(url)) == str(tmp_path / name / "state" / "pawsort.db")


def test_a_database_inside_photos_is_refused_whatever_the_folder_is_called(tmp_path: Path) -> None:
    (tmp_path / "50%25").mkdir()
    (tmp_path / "50%25" / "config.yaml").write_text("database: sqlite:///sort%65d/a.db")
    with pytest.raises(SettingsError, match="where the worker takes or files photos"):
        config.load(tmp_path / "50%25" / "config.yaml")


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///a%00b", "sqlite:////a%00b", "sqlite:///~unknown-user/a.db", "postgresql://h/d?sslkey=%00",
        "postgresql://h/d?sslkey=~unknown-user/key",
    ],
)  # fmt: skip
def test_a_path_in_the_url_that_cannot_be_is_one_message(write, url: str) -> None:
    with pytest.raises(SettingsError, match=r"database: .*(zero byte|home)"):
        config.load(write(f'database: "{url}"'))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("sslrootcert=root.crt&sslmode=verify-full", "sslrootcert={base}/root.crt&sslmode=verify-full"),
        ("sslcert=tls/a%20b.crt&sslkey=%2Fk.key", "sslcert={base}/tls/a%20b.crt&sslkey=/k.key"),
        ("passfile=.pgpass&sslrootcert=system", "passfile={base}/.pgpass&sslrootcert=system"),
        ("sslcrl=&application_name=a%2Fb", "sslcrl=&application_name=a%2Fb"),
    ],
)
def test_files_that_the_url_of_a_server_names_begin_at_the_settings(
    write, tmp_path: Path, given: str, expected: str
) -> None:
    server = "postgresql://ann:p%40ss@db.example/pets"
    settings = config.load(write(f'database: "{server}?{given}"'))
    assert settings.database_url == f"{server}?{expected.format(base=tmp_path)}"


def test_the_shipped_file_names_every_setting_with_its_default(write) -> None:
    def keys(mapping: dict) -> dict:
        return {key: keys(value) if isinstance(value, dict) else value for key, value in mapping.items()}

    shipped = keys(plain_yaml.load(SHIPPED.read_text(encoding="utf-8")))
    defaults = config.load(write("")).model_dump(mode="json")
    for name in ("inboxes", "sorted", "state", "reports"):
        del defaults[name], shipped[name]
    del defaults["duplicates"]  # the older name of `outcomes.duplicates`
    assert shipped == defaults


def test_each_line_of_the_shipped_file_says_why() -> None:
    settings = [line for line in SHIPPED.read_text(encoding="utf-8").splitlines() if ": " in line]
    assert [line for line in settings if "#" not in line] == []


def test_the_environment_wins_over_the_file(write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAWSORT_BATCH__SIZE", "7")
    settings = config.load(write("batch: {size: 8, wait_seconds: 3}"))
    assert (settings.batch.size, settings.batch.wait_seconds) == (7, 3.0)


def test_settings_cannot_be_changed(write) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        config.load(write("")).batch.size = 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sort: x", "sort: unknown key; known: inboxes, sorted"),
        ("batch: {sizee: 3}", "batch.sizee: unknown key; known: size, wait_seconds"),
        ("batch: {size: 0}", "batch.size: Input should be greater than or equal to 1; got 0"),
        ("batch: 7", "batch: expected settings, indented below it; got 7"),
        ("decision: {min_confidence: .nan}", "decision.min_confidence: Input should be a finite number"),
        ("decision: {target_precision: 0.4}", "decision.target_precision: Input should be greater"),
        ("report: {timezone: Mars}", "report.timezone: Value error, expected a name of the IANA"),
        ("report: {at: '24:00'}", "report.at: String should match pattern"),
        ("learn: {at: '3:30'}", "learn.at: String should match pattern"),
        ("learn: {min_new: 0}", "learn.min_new: Input should be greater than or equal to 1; got 0"),
        ("learn: {promote: never}", "learn.promote: Input should be 'ask' or 'auto'; got 'never'"),
        ("watch: {mode: never}", "watch.mode: Input should be 'auto', 'native' or 'polling'; got 'never'"),
        ('web:\n  token: "                "\n', "web.token: String should match pattern"),
        (
            "web: {host: 0.0.0.0}",
            "web: Value error, host 0.0.0.0 can be reached by other machines: expected a token",
        ),
        ("inboxes: []", "inboxes: Tuple should have at least 1 item"),
        ("base: /", "base: unknown key"),
        ("- a", "expected a mapping of settings, got list"),
        ("a: [", "is not valid YAML"),
    ],
)
def test_what_is_wrong_is_named_with_path_value_and_expectation(write, text: str, expected: str) -> None:
    path = write(text)
    with pytest.raises(SettingsError) as caught:
        config.load(path)
    assert str(caught.value).startswith(f"{path}: {expected}")


def test_a_missing_file_says_how_to_name_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--config"):
        config.load(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("PAWSORT_FOO", "1", "PAWSORT_FOO: unknown setting; known here: inboxes"),
        ("PAWSORT_BATCH__SIZ", "1", "PAWSORT_BATCH__SIZ: unknown setting; known here: size, wait_seconds"),
        ("PAWSORT_BATCH__SIZE", "x", "PAWSORT_BATCH__SIZE: batch.size: Input should be a valid integer"),
        ("PAWSORT_INBOXES", "a", "inboxes"),
    ],
)
def test_a_wrong_variable_is_named(
    write, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, expected: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as caught:
        config.load(write(""))
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("inboxes: [a, a/b]", "inboxes.1 .* lies inside inboxes.0"),
        ("inboxes: [a, ./a]", "inboxes.0 and inboxes.1 are the same folder"),
        ("inboxes: [sorted/in]", "inboxes.0 .* lies inside sorted"),
        ("sorted: inbox/out", "sorted .* lies inside inboxes.0"),
        ("state: inbox/state", "state .* lies inside inboxes.0"),
        ("state: sorted/state", "state .* lies inside sorted"),
        ("reports: inbox/reports", "reports .* lies inside inboxes.0"),
        ("inboxes: [.]", "sorted .* lies inside inboxes.0"),
    ],
)
@pytest.mark.fault(78)
def test_a_layout_that_would_feed_on_itself_is_refused(write, text: str, expected: str) -> None:
    with pytest.raises(SettingsError, match=expected):
        config.load(write(text))


@pytest.mark.fault(78)
def test_a_link_does_not_hide_a_dangerous_layout(write, tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    (tmp_path / "elsewhere").symlink_to(tmp_path / "inbox")
    with pytest.raises(SettingsError, match="lies inside"):
        config.load(write("sorted: elsewhere/sorted"))


@pytest.mark.parametrize("value", ["1e308", ".nan", ".inf", "-1", "1" + "0" * 400, str(2**63)])
def test_no_number_in_the_settings_is_without_bounds(tmp_path: Path, value: str) -> None:
    numbers = [
        f"{section}: {{{key}: {value}}}"
        for section, field in config.Settings.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        for key, inside in field.annotation.model_fields.items()
        if {int, float} & {inside.annotation, *get_args(inside.annotation)}
    ]
    assert len(numbers) >= 11
    for text in numbers:
        (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
        with pytest.raises(SettingsError):
            config.load(tmp_path / "config.yaml")


@pytest.mark.parametrize(
    "text",
    [
        'inboxes: ["a\\0b"]', 'state: "a\\0b"', 'reports: "\\ud800"', "sorted: ~no-such-user-here/x",
        "report: {at: 2026-13-45}", "batch: {size: " + "9" * 5000 + "}", "[" * 20_000, "a: " * 5000,
        "report: {timezone: 2026-99-99 99:99:99}",
    ],
)  # fmt: skip
def test_an_impossible_path_number_or_date_is_refused_with_its_reason(write, text: str) -> None:
    with pytest.raises(SettingsError, match=r"config\.yaml"):
        config.load(write(text))


def test_a_folder_in_the_place_of_the_settings_is_named_once_and_without_a_number(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refused:
        config.load(tmp_path)
    assert str(refused.value) == f"{tmp_path}: cannot be read: Is a directory"


def test_a_variable_that_is_nested_without_end_is_refused_and_no_defect(
    write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAWSORT_INBOXES", "[" * 50_000)
    with pytest.raises(SettingsError, match="environment"):
        config.load(write(""))


LONG = "x" * 256


@pytest.mark.parametrize(
    "text",
    [
        f"sorted: {LONG}", f"inboxes: [{LONG}]", f"reports: a/{LONG}/b", "sorted: " + "ü" * 128,
        "state: " + "/".join(["y" * 200] * 19), 'sorted: "a\\nb"', 'inboxes: ["a\\eb"]', 'reports: "a\\x7fb"',
        'state: "a\\x85b"', 'sorted: "a\\u202eb"', "state: /proc/x", "sorted: /sys", "sorted: /dev/null",
        "reports: /dev/null/x", "sorted: config.yaml", "state: config.yaml/x",
        "database: sqlite:///inbox/p.db", "database: sqlite:///sorted/cats/p.db",
        "database: sqlite:///state/spool/p.db", "database: sqlite:///state/heartbeat.json",
        "database: sqlite:///state/worker.lock", f"database: sqlite:///{LONG}.db",
        "database: sqlite:////dev/null", "database: sqlite:///.", 'database: "sqlite:///a\\0b.db"',
        'database: "postgresql://u@h/\\ud800"', 'model: "a\\0b"', f"model: {LONG}",
        'watch: {ignore: ["a\\0b"]}', 'watch: {ignore: [""]}', f"watch: {{ignore: [{'*a' * 1000}]}}",
        'web: {host: " 127.0.0.1"}', 'web: {host: "127.0.0.1:80"}', 'web: {host: "http://x"}',
        'web: {host: ""}', 'web: {host: "[::1]"}', 'web: {host: "localhost\\n"}',
        'web: {hosts: [""]}', 'web: {hosts: ["a b"]}', 'web: {hosts: ["https://a.example/"]}',
        'web: {hosts: ["a.example:8420"]}', 'web: {hosts: ["*.a.example"]}', 'web: {hosts: ["bücher.de"]}',
        'web: {token: "aaaaaaaaaaaaaaaa\\0aaa"}', 'web: {token: "aaaaaaaaaaaaaaaa\\taaa"}',
        "web: {token: " + "t" * 5000 + "}", 'report: {timezone: "UTC\\0"}', 'report: {timezone: "../etc"}',
        'report: {at: "0٣:10"}', "limits: {file_mb: 1e-300}", "limits: {megapixels: 1e-300}",
        "limits: {decode_seconds: 1e-300}", "watch: {rescan_seconds: 1e-300}",
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_before_the_worker_starts(write, text: str) -> None:
    with pytest.raises(SettingsError) as refused:
        config.load(write(text))
    assert len(str(refused.value)) < 1000


LAUGHS = "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        f"a: &a [x]\n{LAUGHS}inboxes: *i", "web: {port: 0x1" + "0" * 6000 + "}",
        "web: {port: 1" + "0" * 6000 + "}", "inboxes: [a]\ninboxes: [b]", "batch: {size: 1, size: 2}",
        "batch: {size: yes}", "watch: {settle_seconds: true}", "decision: {min_confidence: on}",
    ],
    ids=["aliases", "hex", "digits", "twice", "twice-below", "yes", "true", "on"],
)  # fmt: skip
def test_odd_yaml_is_refused_in_few_words(write, text: str) -> None:
    with pytest.raises(SettingsError) as refused:
        config.load(write(text))
    assert all(len(line) < 600 for line in str(refused.value).splitlines())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("report: {at: 12:30}", "report.at: expected text; write it in quotes; got 750"),
        ("sorted: 2026-11-21", "sorted: expected the path of a folder; write it in quotes; got datetime"),
        ("batch:", "batch: expected settings, indented below it; got None"),
        ("1: x", "1: expected the name of a setting"),
    ],
)
def test_what_yaml_takes_for_something_else_is_refused_without_names_of_classes(
    write, text: str, says: str
) -> None:
    with pytest.raises(SettingsError, match=re.escape(says)):
        config.load(write(text))


@pytest.mark.parametrize(
    "text",
    [
        f"sorted: {LONG[:255]}", "sorted: " + "ü" * 127, "state: " + "/".join(["y" * 200] * 16),
        'sorted: "a b"', 'sorted: "a\u200fb"', "sorted: Fotos-äöü", "database: sqlite:///state/a.db",
        "web: {host: '::1'}", "web: {host: localhost}", "web: {hosts: [pets.example.org, '::1']}",
        "web: {host: nas_2.local, token: aaaaaaaaaaaaaaaaaaaa}", "watch: {ignore: ['*.part', 'raw/*']}",
        "web: {host: bücher.example, token: ääääääääääääääääääää}", "model: ../models/mine",
    ],
)  # fmt: skip
def test_what_can_work_is_accepted(write, text: str) -> None:
    config.load(write(text))


def test_a_wrong_token_or_database_is_not_repeated_in_the_message(write) -> None:
    with pytest.raises(SettingsError) as refused:
        config.load(write('web: {token: "secret"}\ndatabase: "postgresql://u:secret@h/\\0"'))
    assert "secret" not in str(refused.value) and "web.token" in str(refused.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("notify: mailto://u:hunter2@h", "notify: expected settings, indented below it"),
        ("notify: {urls: mailto://u:hunter2@h}", "notify.urls: expected a list"),
        ("notify: {urls: ['hunter2']}", "notify.urls.0: Value error, expected a URL of Apprise"),
        (
            "notify: {heartbeat_url: 'file:///hunter2'}",
            "notify.heartbeat_url: Value error, expected a URL that",
        ),
        (
            "notify: {heartbeat_url: 'http://:80/hunter2'}",
            "notify.heartbeat_url: Value error, expected a URL",
        ),
        ("notify: {quiet: '22:00'}", "notify.quiet: "),
        ("notify: {quiet: '22:00-22:00'}", "notify.quiet: Value error, expected two different times"),
        ("notify: {on: [hunter2]}", "notify.on.0: "),
        ("notify: {urls: [mailto://u:hunter2@h, }", "is not valid YAML"),
        ("notify: {hunter: 2}", "notify.hunter: unknown key; known: urls, on, quiet, heartbeat_url"),
    ],
)
def test_a_wrong_setting_of_alerts_is_named_without_its_secret(write, text: str, says: str) -> None:
    with pytest.raises(SettingsError) as refused:
        config.load(write(text))
    assert says in str(refused.value) and "hunter2" not in str(refused.value)


def test_the_key_on_of_alerts_is_no_boolean(write) -> None:
    assert config.load(write("notify: {on: [report]}")).notify.on == ("report",)
    with pytest.raises(SettingsError, match="occurs twice"):
        config.load(write("notify: {on: [report], 'on': [drift]}"))
