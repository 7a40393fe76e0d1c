"""The stack keeps strangers out, bounds what the rest may spend, and answers problems in the API's own form."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from app import ALLOWED_METHODS

ROOT = Path(__file__).parents[1]


class Loader(yaml.SafeLoader):
    """Reads CloudFormation's short forms as {tag: value}."""


def _intrinsic(loader: Loader, tag: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        return {tag: loader.construct_scalar(node)}
    assert isinstance(node, yaml.SequenceNode)
    return {tag: loader.construct_sequence(node, deep=True)}


Loader.add_multi_constructor("!", _intrinsic)

TEMPLATE = yaml.load((ROOT / "template.yaml").read_text(), Loader)
RESOURCES = TEMPLATE["Resources"]
API = RESOURCES["Api"]["Properties"]
READER = RESOURCES["Reader"]["Properties"]


def test_every_route_of_the_handler_is_served_with_every_method() -> None:
    events = [event["Properties"] for event in READER["Events"].values()]
    assert {event["Path"]: event["Method"] for event in events} == dict.fromkeys(ALLOWED_METHODS, "ANY")
    assert all("Auth" not in event for event in events)


def test_a_key_is_required_and_its_use_bounded() -> None:
    auth = API["Auth"]
    assert auth["ApiKeyRequired"] is True
    plan = auth["UsagePlan"]
    assert plan["CreateUsagePlan"] == "PER_API"
    assert set(plan["Throttle"]) == {"RateLimit", "BurstLimit"}
    assert plan["Quota"]["Limit"] == {"Ref": "MonthlyQuota"}


def test_bodies_are_not_logged() -> None:
    (settings,) = API["MethodSettings"]
    assert settings["DataTraceEnabled"] is False
    assert "LoggingLevel" not in settings
    entry = json.loads(API["AccessLogSetting"]["Format"])
    assert all(value.startswith("$context.") for value in entry.values())


def test_only_images_are_binary() -> None:
    assert all(kind.startswith("image~1") for kind in API["BinaryMediaTypes"])


@pytest.mark.parametrize(
    ("response", "status"),
    [("MISSING_AUTHENTICATION_TOKEN", 404), ("INVALID_API_KEY", 403), ("THROTTLED", 429), ("QUOTA_EXCEEDED", 429),
     ("REQUEST_TOO_LARGE", 413)],
)  # fmt: skip
def test_the_gateway_s_errors_are_problems_too(response: str, status: int) -> None:
    answer = API["GatewayResponses"][response]
    assert answer["StatusCode"] == str(status)
    assert answer["ResponseParameters"]["Headers"]["Content-Type"] == "'application/problem+json'"
    problem = json.loads(answer["ResponseTemplates"]["application/json"])
    assert set(problem) == {"type", "title", "status", "detail", "request_id"}
    assert problem["status"] == status


def test_concurrency_is_reserved_only_where_asked_for() -> None:
    assert TEMPLATE["Parameters"]["ReservedConcurrency"]["Default"] == -1
    assert READER["ReservedConcurrentExecutions"]["If"][0] == "HasReservedConcurrency"
    unreserved = {"Equals": [{"Ref": "ReservedConcurrency"}, -1]}
    assert TEMPLATE["Conditions"]["HasReservedConcurrency"] == {"Not": [unreserved]}


def test_the_role_can_log_and_trace_and_no_more() -> None:
    role = RESOURCES["ReaderRole"]["Properties"]
    assert "ManagedPolicyArns" not in role
    statements = [s for policy in role["Policies"] for s in policy["PolicyDocument"]["Statement"]]
    assert {action for s in statements for action in s["Action"] if s["Resource"] == "*"} == {
        "xray:PutTraceSegments",
        "xray:PutTelemetryRecords",
    }
    (logs,) = [s for s in statements if s["Resource"] != "*"]
    assert logs["Resource"] == {"GetAtt": "ReaderLogs.Arn"}
    assert set(logs["Action"]) == {"logs:CreateLogStream", "logs:PutLogEvents"}


def test_logs_are_kept_for_a_time_only() -> None:
    groups = [r["Properties"] for r in RESOURCES.values() if r["Type"] == "AWS::Logs::LogGroup"]
    assert len(groups) == 2
    assert all(group["RetentionInDays"] == {"Ref": "LogRetentionDays"} for group in groups)


def test_the_function_ends_with_the_gateway_s_patience() -> None:
    assert READER["Timeout"] <= 29
