"""compose.yaml, the image and the units agree with the settings, with each other and with the commands."""

from __future__ import annotations

import configparser
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.cli.app import app
from pipeline.settings.config import PREFIX, Settings, load
from pipeline.settings.sections import WebSettings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
GIVEN = {
    "POSTGRES_PASSWORD": "0123abcd",
    "PAWSORT_TOKEN": "a token of many letters",
    "PAWSORT_DATA": "/srv/pawsort",
}
Services = dict[str, Any]
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")

HARDENING = (
    "NoNewPrivileges", "ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateDevices", "LockPersonality",
    "ProtectKernelTunables", "ProtectKernelModules", "ProtectKernelLogs", "ProtectClock", "ProtectHostname",
    "ProtectControlGroups", "RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID", "IPAddressDeny",
    "SystemCallFilter", "SystemCallArchitectures", "RestrictAddressFamilies", "ReadWritePaths",
)  # fmt: skip


@pytest.fixture(scope="module")
def services() -> Services:
    found = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
    assert set(found["volumes"]) == {"database"} and set(found["networks"]) == {"pawsort"}
    return dict(found["services"])


def filled(text: str, given: dict[str, str]) -> str:
    """Return a value as Compose fills it in."""
    return VARIABLE.sub(lambda found: given.get(found[1]) or (found[3] if found[2] == "-" else ""), text)


def settings_of(service: Services, monkeypatch: pytest.MonkeyPatch, folder: Path, **given: str) -> Settings:
    """Return the settings in a container of `service`."""
    shutil.copy(ROOT / "config.yaml", folder)
    image = re.sub("^#.*", "", (DEPLOY / "Dockerfile").read_text("utf-8"), flags=re.MULTILINE)
    for name, value in re.findall(rf"({PREFIX}\w+)=(\S+)", image):
        monkeypatch.setenv(name, value.strip("'"))
    for name, value in service["environment"].items():
        monkeypatch.setenv(name, filled(str(value), GIVEN | given))
    return load(folder / "config.yaml")


def test_each_service_restarts_is_checked_and_keeps_a_bounded_log(services: Services) -> None:
    assert set(services) == {"worker", "pages", "database"}
    for name, service in services.items():
        assert (service["restart"], service["networks"]) == ("unless-stopped", ["pawsort"])
        assert {"max-size", "max-file"} <= set(service["logging"]["options"])
        assert "stop_grace_period" in service
        assert name == "worker" or "healthcheck" in service, "the worker's check is that of the image"
    for name in ("worker", "pages"):
        assert services[name]["depends_on"] == {"database": {"condition": "service_healthy"}}
        assert services[name]["build"] == {"context": "..", "dockerfile": "deploy/Dockerfile"}
        assert "pid" not in services[name], "unfinished files are known by locks, not by numbers of processes"
        assert services[name]["volumes"] == ["${PAWSORT_DATA:?set it in .env}:/data"]
    commands = {command.name or command.callback.__name__ for command in app.registered_commands}  # type: ignore[union-attr]
    assert {services["worker"]["command"][0], services["pages"]["command"][0]} <= commands


def test_every_variable_stands_in_the_example(services: Services) -> None:
    asked = {found[0]: found[1] for found in VARIABLE.findall((DEPLOY / "compose.yaml").read_text("utf-8"))}
    example = dict(re.findall(r"^(\w+)=(.*)$", (DEPLOY / "example.env").read_text("utf-8"), re.MULTILINE))
    assert set(asked) == set(example)
    assert {name for name, value in example.items() if not value} >= {"POSTGRES_PASSWORD", "PAWSORT_TOKEN"}, (
        "no secret"
    )
    assert {name for name, kind in asked.items() if kind == "?"} == set(GIVEN)
    assert "deploy/.env" in (ROOT / ".gitignore").read_text("utf-8").splitlines()


def test_the_environment_is_that_of_the_settings(
    services: Services, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    worker = settings_of(services["worker"], monkeypatch, tmp_path)
    assert worker.database == "postgresql://pawsort:0123abcd@database/pawsort"
    assert worker.worker == "pawsort"
    assert {worker.sorted.parent, worker.state.parent, *(inbox.parent for inbox in worker.inboxes)} == {
        Path("/data")
    }
    given = {"PAWSORT_HOSTS": '["pets.example.org"]', "PAWSORT_BASE_PATH": "/pets"}
    pages = settings_of(services["pages"], monkeypatch, tmp_path, **given)
    assert (pages.database, pages.state) == (worker.database, worker.state)
    assert (pages.web.host, pages.web.hosts, pages.web.base_path) == (
        "0.0.0.0",
        ("pets.example.org",),
        "/pets",
    )
    plain = settings_of(services["pages"], monkeypatch, tmp_path).web
    assert (plain.host, plain.token) == ("0.0.0.0", GIVEN["PAWSORT_TOKEN"])
    assert (plain.hosts, plain.base_path) == ((), "")


def test_the_image_has_the_port_of_the_pages_and_the_driver_of_postgresql(
    services: Services,
) -> None:
    port = WebSettings().port
    image = (DEPLOY / "Dockerfile").read_text("utf-8")
    assert f"\nEXPOSE {port}\n" in image and "\nHEALTHCHECK " in image
    assert services["pages"]["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert f":{port}/healthz" in services["pages"]["healthcheck"]["test"][-1]
    assert "psycopg-binary==" in (ROOT / "requirements.lock").read_text("utf-8")
    for name in re.findall(r"^COPY (.*) \S+$", image, re.MULTILINE):
        assert all((ROOT / part).exists() for part in name.split())


def test_the_unit_of_the_pages_is_as_hardened_as_that_of_the_worker() -> None:
    worker, pages = (unit(DEPLOY / name) for name in ("pawsort.service", "pawsort-pages.service"))
    assert {key: pages.get(key) for key in HARDENING} == {key: worker.get(key) for key in HARDENING}
    assert (pages["CapabilityBoundingSet"], pages["User"]) == ("", worker["User"])
    assert " serve --config /srv/pawsort/config.yaml" in pages["ExecStart"]


def unit(path: Path) -> dict[str, str]:
    """Return the section Service of a unit."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(path.read_text("utf-8"))
    return dict(parser["Service"])
