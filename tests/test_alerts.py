"""The alert rules and the dashboard in deploy/ use only metrics and labels that the exchange serves.

CI checks the rules with promtool, too (.github/workflows/ci.yml).
"""

import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import yaml

from exchange.runtime.figures import METRICS

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
# Labels that Prometheus adds.
GIVEN_LABELS = {"instance", "job", "le"}
# Metrics of Prometheus itself and of its client library.
OF_PROMETHEUS = (
    *("up", "process_start_time_seconds", "process_resident_memory_bytes", "process_cpu_seconds_total"),
    "process_open_fds",
)


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    return list(group["rules"])


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        (DEPLOY / "grafana" / "dashboards" / "exchange.json").read_text(encoding="utf-8")
    )
    return found


def expressions() -> Iterator[tuple[str, str]]:
    """The place and the text of each query."""
    for rule in rules():
        yield rule["alert"], rule["expr"]
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


def served() -> dict[str, str | None]:
    """The label of each name of a sample that an exchange serves."""
    names: dict[str, str | None] = dict.fromkeys(OF_PROMETHEUS)
    for name, about in METRICS.items():
        suffixes = ("_bucket", "_sum", "_count") if about.kind == "histogram" else ("",)
        names |= {name + suffix: about.label for suffix in suffixes}
    return names


def test_each_query_uses_metrics_that_exist_with_their_labels() -> None:
    names = served()
    for place, text in expressions():
        used = re.findall(r"\b(?:exchange_|process_|up\b)\w*", text)
        assert used and set(used) <= names.keys(), place
        labels = set(re.findall(r'(\w+)(?:=~|=|!=)"', text))
        labels |= {label for group in re.findall(r"\bby \(([^)]*)\)", text) for label in re.split(r",\s*", group)}
        assert labels <= GIVEN_LABELS | {names[name] for name in used}, place


def test_every_alert_says_what_happened_and_what_to_do_and_is_documented() -> None:
    table = OPERATIONS.partition("### Alerts\n")[2].partition("\n## ")[0]
    documented = re.findall(r"^\| `(\w+)` \| (\w+) \| .+ \|$", table, re.MULTILINE)
    assert documented == [(rule["alert"], rule["labels"]["severity"]) for rule in rules()]
    for rule in rules():
        assert rule["annotations"].keys() == {"summary", "action"}
        assert "{{ $labels.instance }}" in rule["annotations"]["summary"]
        assert all(text.endswith(".") for text in rule["annotations"].values())


def test_the_panels_of_the_dashboard_do_not_overlap() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for one, other in combinations((panel["gridPos"] for panel in panels), 2):
        is_apart = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        is_apart |= one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert is_apart, (one, other)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)


def test_the_provisioning_of_grafana_names_the_data_source_of_the_dashboard() -> None:
    folder = DEPLOY / "grafana" / "provisioning"
    (source,) = yaml.safe_load((folder / "datasources" / "prometheus.yml").read_text(encoding="utf-8"))["datasources"]
    used = {panel["datasource"]["uid"] for panel in dashboard()["panels"] if panel["type"] != "row"}
    assert used == {source["uid"]}
    assert yaml.safe_load((folder / "dashboards" / "exchange.yml").read_text(encoding="utf-8"))["providers"]
