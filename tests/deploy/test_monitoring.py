"""The alert rules and the dashboard fit the metrics, and promtool accepts all three."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.reports import drift_alarms
from pipeline.web.metrics import scrape
from pipeline.worker import counters, heartbeat
from pipeline.worker.known_workers import WorkerSeen
from tests.docs.pages import names_in_first_cells, section
from tests.pipeline.web.conftest import client_of
from tests.pipeline.web.routes.test_api import beat
from tests.support.installation import SMALL, Installation

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus-rules.yml"
RULE_TESTS = Path(__file__).with_name("prometheus_rules_test.yml")
DASHBOARD = json.loads((ROOT / "deploy" / "grafana-dashboard.json").read_text(encoding="utf-8"))
VARIABLES = {"$__rate_interval": "5m", "$job": ".*", "$instance": ".*"}

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool of Debian's package prometheus is not here"
)


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What `/metrics` answers where a worker has filed photos, a person corrected one, and a night passed."""
    pawsort = Installation(tmp_path_factory.mktemp("metrics") / "pets", SMALL)
    pawsort.drop("a.jpg", b"<cat>")
    pawsort.drop("b.jpg", b"<truncated>")
    pawsort.run_worker().counters.write(pawsort.settings.state / counters.FILE_NAME)
    pawsort.correct(b"cats/a.jpg")
    drift_alarms.update(pawsort.settings.state, drift_alarms.DriftState(date(2026, 11, 29), ()))
    (pawsort.settings.reports / "latest-summary.csv").touch()
    beat(pawsort)
    path = pawsort.settings.state / heartbeat.FILE_NAME
    seen = heartbeat.read(path)
    assert seen
    replace(seen, last_filed_at=seen.at, next_report_at=seen.at).write(path)
    ann = WorkerSeen(
        name="ann", state="running", is_own=True, reports=True, doing="watching", health="ok", reasons=(),
        waiting=2, rate_per_second=0.0, idle_seconds=3.5, last_sign_at=seen.at, address=None,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch, client_of(pawsort) as client:
        workers = ann, replace(ann, name="bob", state="silent", is_own=False, reports=False)
        patch.setattr(scrape.known_workers, "seen", lambda *_: workers)
        yield client.get("/metrics").text
    pawsort.close()


def names(text: str) -> set[str]:
    """The metrics that an expression names; buckets stand for their histogram."""
    return {name.removesuffix("_bucket") for name in re.findall(r"\bpawsort_[a-z_]+", text)}


def expressions() -> list[str]:
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def alerts() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def promtool(*arguments: str | Path, text: str | None = None) -> None:
    done = subprocess.run(["promtool", *arguments], input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_promtool_accepts_the_metrics(exposed: str) -> None:
    promtool("check", "metrics", text=exposed)


@needs_promtool
def test_promtool_accepts_the_rules() -> None:
    promtool("check", "rules", RULES)


@needs_promtool
def test_each_alert_comes_when_it_is_to_and_not_before() -> None:
    promtool("test", "rules", RULE_TESTS)


@needs_promtool
def test_promtool_accepts_each_expression_of_the_dashboard(tmp_path: Path) -> None:
    rules = []
    for number, expression in enumerate(expressions()):
        for variable, value in VARIABLES.items():
            expression = expression.replace(variable, value)
        rules.append({"record": f"panel:{number}", "expr": expression})
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", path)


def test_each_alert_has_a_case_in_which_it_comes() -> None:
    cases = yaml.safe_load(RULE_TESTS.read_text())["tests"]
    coming = {case["alertname"] for test in cases for case in test["alert_rule_test"] if "exp_alerts" in case}
    assert coming == {rule["alert"] for rule in alerts()}


def test_each_alert_says_what_happened_and_what_to_do() -> None:
    for rule in alerts():
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert set(rule["annotations"]) == {"summary", "action"}


def test_rules_and_dashboard_name_only_metrics_that_are_exposed(exposed: str) -> None:
    there = set(re.findall(r"^# TYPE (\S+)", exposed, re.MULTILINE))
    assert names(" ".join(rule["expr"] for rule in alerts())) <= there
    assert names(" ".join(expressions())) <= there


def test_each_metric_is_documented_and_no_other(exposed: str) -> None:
    there = set(re.findall(r"^# TYPE (\S+)", exposed, re.MULTILINE))
    documented = names_in_first_cells(section("docs/operating.md", "Metrics"))
    assert {name for name in documented if name.startswith("pawsort_")} == there


def test_the_dashboard_has_the_parts_that_grafana_asks_for() -> None:
    assert DASHBOARD["schemaVersion"] >= 36 and DASHBOARD["title"] and DASHBOARD["uid"]
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["type"] in ("stat", "timeseries", "table") and panel["title"] and panel["description"]
        assert panel["datasource"]["uid"] == "${datasource}" and panel["targets"]
        refs = [target["refId"] for target in panel["targets"]]
        assert len(set(refs)) == len(refs)
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD)))
    assert used - {"__rate_interval"} == variables


def test_no_panel_of_the_dashboard_lies_over_another() -> None:
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for a, b in combinations(places, 2):
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        assert beside or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
