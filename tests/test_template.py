"""The stack keeps strangers out, bounds what the rest may spend, and answers problems in the API's own form."""

import copy
import json
import re
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

from local import cloud
from paragraph_ocr.errors import MethodNotAllowed
from service import intake, openapi, worker
from service import routes as app
from service import runtime as serving
from service.settings import VARIABLES, Settings

ROOT = Path(__file__).parents[1]
FUNCTION = ROOT / "function"


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
WORKER = RESOURCES["Worker"]["Properties"]


def test_every_route_of_the_handler_is_served() -> None:
    events = [event["Properties"] for event in READER["Events"].values()]
    served = {(event["Path"], event["Method"].lower()) for event in events}
    described = json.loads(openapi.FILE.read_text())["paths"]
    assert served == {(path, method) for path, methods in described.items() for method in methods}


def deployed(**parameters: str) -> dict[str, Any]:
    """The resources of the stack as SAM makes them."""
    template = copy.deepcopy(yaml_parse((ROOT / "template.yaml").read_text()))
    template["Resources"]["ArchiveMachine"]["Properties"]["DefinitionUri"] = "s3://bucket/archive.asl.json"
    for name in ("Reader", "Worker", "Archive"):
        function = template["Resources"][name]
        del function["Metadata"]
        function["Properties"]["ImageUri"] = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/reader:1"
    defaults = {name: parameter["Default"] for name, parameter in template["Parameters"].items()}
    resources: dict[str, Any] = transform(template, defaults | parameters, SimpleNamespace(load=dict))["Resources"]
    return resources


@pytest.mark.parametrize(("authorizer", "signed"), [("", []), ("AWS_IAM", [{"AWS_IAM": []}])])
def test_nothing_is_read_without_a_key(monkeypatch: pytest.MonkeyPatch, authorizer: str, signed: list[Any]) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    paths = deployed(Authorizer=authorizer)["Api"]["Properties"]["Body"]["paths"]
    security = {(path, method): each["security"] for path, methods in paths.items() for method, each in methods.items()}
    keyed = [*signed, {"api_key": []}]
    routes = {
        ("/ocr", "post"): keyed,
        ("/convert", "post"): keyed,
        ("/jobs", "post"): keyed,
        ("/jobs/{id}", "get"): keyed,
        ("/health", "get"): keyed,
        ("/", "get"): signed,
        ("/web/{file}", "get"): signed,
        ("/openapi.json", "get"): signed,
    }
    preflights = {(path, "options"): [] for path, _ in routes}
    others = {(path, "x-amazon-apigateway-any-method"): keyed for path, _ in routes}
    assert security == routes | preflights | others
    assert "credentials" not in json.dumps(paths)


def test_the_description_asks_for_a_key_where_the_gateway_does() -> None:
    events = [event["Properties"] for event in READER["Events"].values()]
    asked = {event["Path"] for event in events if "Auth" not in event}
    described = json.loads(openapi.FILE.read_text())["paths"]
    assert asked == {path for path, methods in described.items() for each in methods.values() if "security" in each}


def test_the_use_of_a_key_is_bounded() -> None:
    plan = API["Auth"]["UsagePlan"]
    assert API["Auth"]["ApiKeyRequired"] is True
    assert plan["CreateUsagePlan"] == "PER_API"
    assert set(plan["Throttle"]) == {"RateLimit", "BurstLimit"}
    assert plan["Quota"]["Limit"] == {"Ref": "MonthlyQuota"}


MOCKED = API["DefinitionBody"]["paths"]


def test_preflights_and_wrong_methods_cost_no_invocation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    described = json.loads(openapi.FILE.read_text())["paths"]
    paths = deployed()["Api"]["Properties"]["Body"]["paths"]
    for path, methods in paths.items():
        kinds = {method: each["x-amazon-apigateway-integration"]["type"] for method, each in methods.items()}
        invoked = dict.fromkeys(described[path], "aws_proxy")
        assert kinds == invoked | dict.fromkeys(["options", "x-amazon-apigateway-any-method"], "mock")
        answer = methods["x-amazon-apigateway-any-method"]["x-amazon-apigateway-integration"]["responses"]["default"]
        problem = json.loads(answer["responseTemplates"]["application/json"])
        assert (answer["statusCode"], problem["status"], problem["type"]) == ("405", 405, MethodNotAllowed.type)
        (method,) = described[path]
        assert answer["responseParameters"]["method.response.header.Allow"] == f"'{method.upper()}'"
    # CORS asks for every header that a request may have.
    headers = MOCKED["/jobs"]["options"]["x-amazon-apigateway-integration"]["responses"]["default"][
        "responseParameters"
    ]
    listed = headers["method.response.header.Access-Control-Allow-Headers"].strip("'").split(",")
    assert {"Content-Type", "X-Api-Key", "Idempotency-Key", "Authorization"} <= set(listed)


def test_what_asks_for_no_key_is_throttled_far_below_the_rest() -> None:
    keyless = {
        event["Properties"]["Path"]: event["Properties"]["Method"]
        for event in READER["Events"].values()
        if event["Properties"].get("Auth") == {"ApiKeyRequired": False}
    }
    every, *own = API["MethodSettings"]
    assert (every["HttpMethod"], every["ResourcePath"]) == ("*", "/*")
    settings = {each["ResourcePath"].replace("/", "", 1).replace("~1", "/") or "/": each for each in own}
    assert {path: each["HttpMethod"] for path, each in settings.items()} == keyless
    defaults = {
        name: parameter["Default"] for name, parameter in TEMPLATE["Parameters"].items() if "Default" in parameter
    }
    for each in settings.values():
        assert each["ThrottlingRateLimit"] == {"Ref": "KeylessRateLimit"}
        assert each["ThrottlingBurstLimit"] == {"Ref": "KeylessBurstLimit"}
    assert defaults["KeylessRateLimit"] * 5 <= defaults["RateLimit"]
    # A browser asks for the page's files at once.
    assert len(app.PAGE_FILES) <= defaults["KeylessBurstLimit"] < defaults["BurstLimit"]


def test_bodies_are_not_logged() -> None:
    for settings in API["MethodSettings"]:
        assert settings["DataTraceEnabled"] is False
        assert "LoggingLevel" not in settings
    entry = json.loads(API["AccessLogSetting"]["If"][1]["Format"])
    assert all(value.startswith("$context.") for value in entry.values())


def test_the_account_is_changed_only_where_access_logs_are_asked_for() -> None:
    assert TEMPLATE["Parameters"]["AccessLogs"]["Default"] == "false"
    assert TEMPLATE["Conditions"]["HasAccessLogs"] == {"Equals": [{"Ref": "AccessLogs"}, "true"]}
    assert {name for name, resource in RESOURCES.items() if resource.get("Condition") == "HasAccessLogs"} == {
        "AccessLogGroup",
        "ApiGatewayAccount",
        "ApiGatewayRole",
    }
    assert API["AccessLogSetting"]["If"][0] == "HasAccessLogs"


def test_what_travels_as_base64_is_what_the_function_takes_as_bytes() -> None:
    binary = [kind.replace("~1", "/") for kind in API["BinaryMediaTypes"]]
    assert binary == list(intake.BINARY_TYPES)


RESOURCE_VARIABLES = {"TABLE", "REQUESTS", "INBOX", "RESULTS", "QUEUE_URL", "TOPIC_ARN"}


def variables(function: dict[str, Any]) -> dict[str, Any]:
    """The environment of a function, with those of the globals."""
    return {**TEMPLATE["Globals"]["Function"]["Environment"]["Variables"], **function["Environment"]["Variables"]}


@pytest.mark.parametrize("name", ["Reader", "Worker", "Archive"])
def test_the_parameters_defaults_are_those_of_the_settings(name: str) -> None:
    values = {
        variable: str(TEMPLATE["Parameters"][value["Ref"]]["Default"]) if isinstance(value, dict) else value
        for variable, value in variables(RESOURCES[name]["Properties"]).items()
        if variable not in RESOURCE_VARIABLES
    }
    assert Settings.from_environment(values) == Settings()


def test_every_setting_is_a_variable_of_a_function_that_uses_it() -> None:
    names = {field.name.upper() for field in fields(Settings) if field.name not in VARIABLES}
    # Another model set has to be put into the image, whose environment then names it.
    names.remove("MODELS")
    assert variables(READER).keys() | variables(WORKER).keys() == names
    assert names - variables(READER).keys() == {"TOPIC_ARN", "MAX_JOB_PAGES", "TIMEOUT"}
    assert variables(WORKER)["TIMEOUT"] == str(WORKER["Timeout"])


def test_the_web_page_takes_what_the_function_takes() -> None:
    script = (FUNCTION / "paragraph_ocr" / "web" / "page.js").read_text()
    numbers = dict(re.findall(r"^const (MAX_\w+) = ([\d_]+);", script, re.MULTILINE))
    assert 0 < int(numbers["MAX_BYTES"].replace("_", "")) <= Settings().max_image_bytes
    assert int(numbers["MAX_PIXELS"].replace("_", "")) == Settings().max_image_pixels


def test_the_limits_fit_into_lambda_and_the_gateway() -> None:
    parameters = TEMPLATE["Parameters"]
    assert parameters["MaxImageBytes"]["MaxValue"] * 4 / 3 + 100_000 < 6_291_556
    assert parameters["MaxSeconds"]["MaxValue"] < READER["Timeout"] <= 29


@pytest.mark.parametrize(
    ("origins", "allowed"),
    [("", True), ("https://a.example", True), ("https://a.example,http://localhost:8000", True), ("*", False),
     ("https://*.example", False), ("https://a.example/", False), ("https://a.example, https://b.example", False)],
)  # fmt: skip
def test_origins_are_named_one_by_one(origins: str, allowed: bool) -> None:
    assert bool(re.fullmatch(TEMPLATE["Parameters"]["CorsOrigins"]["AllowedPattern"], origins)) is allowed


@pytest.mark.parametrize("response", API["GatewayResponses"])
def test_the_gateway_s_errors_are_problems_too(response: str) -> None:
    answer = API["GatewayResponses"][response]
    headers = answer["ResponseParameters"]["Headers"]
    assert headers["Content-Type"] == "'application/problem+json'"
    assert headers["Access-Control-Allow-Origin"] == "'*'"
    template = answer["ResponseTemplates"]["application/json"]
    problem = json.loads(template.replace("$context.error.messageString", '"Bad request"'))
    assert set(problem) == {"type", "title", "status", "detail", "request_id"}
    assert str(problem["status"]) == answer["StatusCode"]
    assert problem["detail"]


@pytest.mark.parametrize(
    ("response", "status"),
    [("MISSING_AUTHENTICATION_TOKEN", 404), ("INVALID_API_KEY", 403), ("ACCESS_DENIED", 403), ("THROTTLED", 429),
     ("QUOTA_EXCEEDED", 429), ("REQUEST_TOO_LARGE", 413), ("INTEGRATION_TIMEOUT", 504), ("DEFAULT_4XX", 400),
     ("DEFAULT_5XX", 500)],
)  # fmt: skip
def test_the_gateway_s_errors_are_the_contract_s(response: str, status: int) -> None:
    assert API["GatewayResponses"][response]["StatusCode"] == str(status)


def test_the_gateway_names_the_routes() -> None:
    detail = API["GatewayResponses"]["MISSING_AUTHENTICATION_TOKEN"]["ResponseTemplates"]["application/json"]
    for path, methods in json.loads(openapi.FILE.read_text())["paths"].items():
        assert all(f"{method.upper()} {path}" in detail for method in methods)


@pytest.mark.parametrize(("function", "name"), [("Reader", ""), ("Archive", "Archive")])
def test_concurrency_is_reserved_only_where_asked_for(function: str, name: str) -> None:
    parameter, condition = f"{name}ReservedConcurrency", f"Has{name}ReservedConcurrency"
    # Of the ten of a new account, none can be reserved.
    assert TEMPLATE["Parameters"][parameter]["Default"] == -1
    reserved = RESOURCES[function]["Properties"]["ReservedConcurrentExecutions"]["If"]
    assert reserved == [condition, {"Ref": parameter}, {"Ref": "AWS::NoValue"}]
    assert TEMPLATE["Conditions"][condition] == {"Not": [{"Equals": [{"Ref": parameter}, -1]}]}


def test_in_a_new_account_the_worker_leaves_the_api_some_concurrency() -> None:
    assert WORKER["Events"]["Queue"]["Properties"]["ScalingConfig"] == {
        "MaximumConcurrency": {"Ref": "WorkerConcurrency"}
    }
    assert TEMPLATE["Parameters"]["WorkerConcurrency"]["Default"] <= 5


FUNCTIONS = [r["Properties"] for r in RESOURCES.values() if r["Type"] == "AWS::Serverless::Function"]


def test_the_processor_is_chosen_for_all_functions_at_once() -> None:
    assert TEMPLATE["Globals"]["Function"]["Architectures"] == [{"Ref": "Architecture"}]
    assert not any("Architectures" in function for function in FUNCTIONS)


def test_every_parameter_has_a_group_and_a_label() -> None:
    interface = TEMPLATE["Metadata"]["AWS::CloudFormation::Interface"]
    grouped = [name for group in interface["ParameterGroups"] for name in group["Parameters"]]
    assert sorted(grouped) == sorted(TEMPLATE["Parameters"])
    assert interface["ParameterLabels"].keys() == TEMPLATE["Parameters"].keys()


def test_starts_cost_nothing_more_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    defaults = {name: TEMPLATE["Parameters"][name]["Default"] for name in ("SnapStart", "ProvisionedConcurrency")}
    assert defaults == {"SnapStart": "None", "ProvisionedConcurrency": 0}
    resources = deployed()
    (alias,) = [r["Properties"] for r in resources.values() if r["Type"] == "AWS::Lambda::Alias"]
    provisioned = {"ProvisionedConcurrentExecutions": {"Ref": "ProvisionedConcurrency"}}
    assert alias["ProvisionedConcurrencyConfig"]["Fn::If"][:2] == ["HasProvisionedConcurrency", provisioned]
    assert resources["Reader"]["Properties"]["SnapStart"] == {"ApplyOn": {"Ref": "SnapStart"}}
    assert TEMPLATE["Conditions"]["HasProvisionedConcurrency"] == {
        "Not": [{"Equals": [{"Ref": "ProvisionedConcurrency"}, 0]}]
    }


def test_the_gateway_asks_the_version_that_has_the_snapshot_or_is_provisioned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    paths = deployed()["Api"]["Properties"]["Body"]["paths"]
    integrations = [m["x-amazon-apigateway-integration"] for methods in paths.values() for m in methods.values()]
    targets = {json.dumps(each["uri"]) for each in integrations if each["type"] == "aws_proxy"}
    (target,) = targets
    assert "ReaderAliaslive" in target


def allowed(role: str) -> dict[str, set[str]]:
    """What a role may do to which resource."""
    properties = RESOURCES[role]["Properties"]
    assert "ManagedPolicyArns" not in properties
    rights: dict[str, set[str]] = {}
    for statement in (s for policy in properties["Policies"] for s in policy["PolicyDocument"]["Statement"]):
        assert statement["Effect"] == "Allow"
        actions, resources = statement["Action"], statement["Resource"]
        for resource in resources if isinstance(resources, list) else [resources]:
            name = resource if isinstance(resource, str) else next(iter(resource.values()))
            rights.setdefault(name, set()).update([actions] if isinstance(actions, str) else actions)
    return rights


LOGGING = {"logs:CreateLogStream", "logs:PutLogEvents"}
TRACING = {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}


def test_the_api_can_make_jobs_and_show_their_results_and_no_more() -> None:
    assert allowed("ReaderRole") == {
        "ReaderLogs.Arn": LOGGING,
        "*": TRACING,
        "Table.Arn": {"dynamodb:GetItem", "dynamodb:PutItem"},
        "Requests.Arn": {"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"},
        "${Inbox.Arn}/jobs/*": {"s3:GetObject", "s3:PutObject"},
        "${Results.Arn}/done/jobs/*": {"s3:GetObject"},
        "Queue.Arn": {"sqs:SendMessage"},
    }


def test_the_worker_can_do_its_work_and_no_more() -> None:
    assert allowed("WorkerRole") == {
        "WorkerLogs.Arn": LOGGING,
        "*": TRACING,
        "Table.Arn": {"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"},
        "Inbox.Arn": {"s3:ListBucket"},
        "Results.Arn": {"s3:ListBucket"},
        "${Inbox.Arn}/*": {"s3:GetObject"},
        "${Inbox.Arn}/jobs/*": {"s3:PutObject"},
        "${Results.Arn}/*": {"s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"},
        "Queue.Arn": {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:SendMessage"},
        "ProgressTopic": {"sns:Publish"},
    }


def test_buckets_are_private_encrypted_and_emptied() -> None:
    buckets = {name: r["Properties"] for name, r in RESOURCES.items() if r["Type"] == "AWS::S3::Bucket"}
    assert set(buckets) == {"Inbox", "Results", "ArchiveResults"}
    for name, bucket in buckets.items():
        assert list(bucket["PublicAccessBlockConfiguration"].values()) == [True] * 4
        (encryption,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert encryption["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
        rule, *more = bucket["LifecycleConfiguration"]["Rules"]
        # Uploads that were broken off cost as much as objects.
        ended = [each for each in (rule, *more) if each.get("AbortIncompleteMultipartUpload") and "Prefix" not in each]
        assert [each["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] for each in ended] == [1]
        assert (rule["Status"], rule["ExpirationInDays"]) == ("Enabled", {"Ref": "RetentionDays"})
        # What is read of an archive is kept; the rest of a document that was given up is not.
        assert rule.get("Prefix") == ("pages/" if name == "ArchiveResults" else None)
        (statement,) = RESOURCES[f"{name}Policy"]["Properties"]["PolicyDocument"]["Statement"]
        assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
        assert statement["Resource"] == [{"GetAtt": f"{name}.Arn"}, {"Sub": f"${{{name}.Arn}}/*"}]
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


KINDS = {
    "AWS::S3::Bucket": ("AWS::S3::BucketPolicy", "s3:*"),
    "AWS::SQS::Queue": ("AWS::SQS::QueuePolicy", "sqs:*"),
    "AWS::SNS::Topic": ("AWS::SNS::TopicPolicy", "sns:Publish"),
}


@pytest.mark.parametrize("name", [name for name, r in RESOURCES.items() if r["Type"] in KINDS])
def test_every_bucket_queue_and_topic_is_closed_to_plain_http(name: str) -> None:
    kind, action = KINDS[RESOURCES[name]["Type"]]
    policies = [
        r
        for r in RESOURCES.values()
        if r["Type"] == kind
        and {"Ref": name}
        in (r["Properties"].get("Queues") or r["Properties"].get("Topics") or [r["Properties"]["Bucket"]])
    ]
    (policy,) = policies
    assert policy.get("Condition") == RESOURCES[name].get("Condition")
    denied = [s for s in policy["Properties"]["PolicyDocument"]["Statement"] if s["Effect"] == "Deny"]
    assert [(s["Principal"], s["Action"], s["Condition"]) for s in denied] == [
        ("*", action, {"Bool": {"aws:SecureTransport": "false"}})
    ]
    assert name in json.dumps(denied[0]["Resource"])


def test_alarms_of_this_account_reach_the_topic_that_mails_them() -> None:
    allow, _ = RESOURCES["AlarmTopicPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert (allow["Principal"], allow["Action"]) == ({"Service": "cloudwatch.amazonaws.com"}, "sns:Publish")
    assert allow["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_throttles_of_every_function_ring_an_alarm() -> None:
    functions = {name: r.get("Condition") for name, r in RESOURCES.items() if r["Type"] == "AWS::Serverless::Function"}
    alarms = {
        r["Properties"]["Dimensions"][0]["Value"]["Ref"]: r.get("Condition")
        for r in RESOURCES.values()
        if r["Type"] == "AWS::CloudWatch::Alarm" and r["Properties"].get("MetricName") == "Throttles"
    }
    assert alarms == functions


def test_what_is_put_into_the_inbox_reaches_the_worker() -> None:
    (rule,) = RESOURCES["Inbox"]["Properties"]["NotificationConfiguration"]["QueueConfigurations"]
    assert rule == {"Event": "s3:ObjectCreated:*", "Queue": {"GetAtt": "Queue.Arn"}}
    # S3 refuses a notification to a queue that does not let it in.
    assert RESOURCES["Inbox"]["DependsOn"] == "QueuePolicy"
    allow, deny = RESOURCES["QueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert allow["Principal"] == {"Service": "s3.amazonaws.com"}
    assert allow["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
    assert (deny["Effect"], deny["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    assert WORKER["ImageConfig"]["Command"] == ["worker.handler"]
    source = WORKER["Events"]["Queue"]["Properties"]
    assert source["Queue"] == {"GetAtt": "Queue.Arn"}
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert source["BatchSize"] == 1
    # Or Lambda would take the handing on of a long document for a mistake.
    assert WORKER["RecursiveLoop"] == "Allow"


def test_a_message_is_hidden_for_longer_than_six_timeouts_and_never_lost() -> None:
    queue = RESOURCES["Queue"]["Properties"]
    assert queue["VisibilityTimeout"] > 6 * WORKER["Timeout"]
    assert WORKER["Timeout"] == Settings().timeout
    redrive = queue["RedrivePolicy"]
    assert redrive["deadLetterTargetArn"] == {"GetAtt": "DeadLetters.Arn"}
    # A file is given up, with a reason, before its message is.
    assert redrive["maxReceiveCount"] > worker.MAX_ATTEMPTS + 1
    # A message's time counts from its first queue on.
    assert queue["MessageRetentionPeriod"] == 12 * 86400
    assert RESOURCES["DeadLetters"]["Properties"]["MessageRetentionPeriod"] == 14 * 86400
    assert (queue["VisibilityTimeout"], redrive["maxReceiveCount"]) == (cloud.VISIBILITY_SECONDS, cloud.MAX_RECEIVES)
    alarm = RESOURCES["DeadLetterAlarm"]["Properties"]
    assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": {"GetAtt": "DeadLetters.QueueName"}}]
    assert alarm["Threshold"] == 1
    assert "start-message-move-task" in TEMPLATE["Outputs"]["RedriveCommand"]["Value"]["Sub"]


def test_queues_topic_and_table_are_encrypted_and_the_table_forgets() -> None:
    assert all(RESOURCES[name]["Properties"]["SqsManagedSseEnabled"] is True for name in ("Queue", "DeadLetters"))
    assert RESOURCES["ProgressTopic"]["Properties"]["KmsMasterKeyId"] == "alias/aws/sns"
    table = RESOURCES["Table"]["Properties"]
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires", "Enabled": True}
    assert table["KeySchema"] == [{"AttributeName": "key", "KeyType": "HASH"}]


def test_logs_are_kept_for_a_time_only() -> None:
    groups = [r["Properties"] for r in RESOURCES.values() if r["Type"] == "AWS::Logs::LogGroup"]
    assert len(groups) == 4
    assert all(group["RetentionInDays"] == {"Ref": "LogRetentionDays"} for group in groups)


def test_alarms_ring_for_all_that_goes_wrong_by_mail_where_asked_for() -> None:
    alarms = {name: r["Properties"] for name, r in RESOURCES.items() if r["Type"] == "AWS::CloudWatch::Alarm"}
    throttles = ("Throttle", "WorkerThrottle", "ArchiveThrottle")
    kinds = ("Error", "Backlog", "DeadLetter", *throttles, "Latency", "Cost")
    assert set(alarms) == {f"{kind}Alarm" for kind in kinds}
    assert alarms["BacklogAlarm"]["Dimensions"] == [{"Name": "QueueName", "Value": {"GetAtt": "Queue.QueueName"}}]
    mail = {"If": ["HasAlarmEmail", {"Ref": "AlarmTopic"}, {"Ref": "AWS::NoValue"}]}
    assert all(alarm["AlarmActions"] == [mail] for alarm in alarms.values())
    assert TEMPLATE["Parameters"]["AlarmEmail"]["Default"] == ""
    assert RESOURCES["AlarmTopic"]["Condition"] == "HasAlarmEmail"


@pytest.mark.parametrize("name", ["ErrorAlarm", "CostAlarm"])
def test_alarms_count_the_archives_function_where_there_is_one(name: str) -> None:
    metrics = RESOURCES[name]["Properties"]["Metrics"]
    ((condition, archive, nothing),) = [metric["If"] for metric in metrics if "If" in metric]
    assert (condition, nothing) == ("HasArchive", {"Ref": "AWS::NoValue"})
    assert archive["MetricStat"]["Metric"]["Dimensions"] == [{"Name": "FunctionName", "Value": {"Ref": "Archive"}}]
    condition, there, not_there = metrics[-1]["Expression"]["If"]
    assert condition == "HasArchive"
    for expression, known in ((there, {"archive"}), (not_there, set())):
        known = known | {metric["Id"] for metric in metrics[:-1] if "Id" in metric}
        text = expression["Sub"] if isinstance(expression, dict) else expression
        assert set(re.findall(r"FILL\((\w+), 0\)", text)) == known


def test_the_dashboard_shows_every_metric_of_the_handler() -> None:
    body, values = RESOURCES["Dashboard"]["Properties"]["DashboardBody"]["Sub"]
    shown = json.dumps(json.loads(body))
    # Where there is no archive, a name that no function has.
    assert values["ArchiveName"]["If"][:2] == ["HasArchive", {"Ref": "Archive"}]
    for metric in ("Invocations", "Errors", "Throttles", "Duration"):
        assert re.search(rf'"(AWS/Lambda|\.)", "{metric}", ("FunctionName", "\${{ArchiveName}}"|"\.", "\.")', shown)
    assert "FILL(archive, 0)" in shown
    source = "".join((FUNCTION / "service" / f"{name}.py").read_text() for name in ("routes", "runtime", "worker"))
    sent = set(re.findall(r'(?:add|single)_metric\("(\w+)"', source)) | set(serving.STEP_METRICS.values())
    assert len(sent) >= 10
    assert all(name in shown for name in sent)


def test_what_the_image_copies_is_let_into_its_build() -> None:
    rows = [row.split() for row in (FUNCTION / "Dockerfile").read_text().splitlines()]
    copied = [source for row in rows if row[:1] == ["COPY"] and row[1] != "--from=packages" for source in row[1:-1]]
    copied = [source.rstrip("/") for source in copied if source not in ("--from=smoke", "/smoke/passed")]
    let_in = [row[1:] for row in (FUNCTION / ".dockerignore").read_text().splitlines() if row.startswith("!")]
    assert {source if source in let_in else source.split("/")[0] for source in copied} == set(let_in)
    assert all(list(FUNCTION.glob(pattern)) for pattern in copied)


def test_the_image_holds_all_of_the_library() -> None:
    rows = re.findall(r"^COPY (paragraph_ocr/.+) \S+$", (FUNCTION / "Dockerfile").read_text(), re.MULTILINE)
    copied = [source for row in rows for source in row.split()]
    library = {path for path in (FUNCTION / "paragraph_ocr").iterdir() if path.name != "__pycache__"}
    assert {path for pattern in copied for path in FUNCTION.glob(pattern.rstrip("/"))} == library


def test_there_is_no_archive_unless_its_bucket_is_named() -> None:
    archive = {name: resource for name, resource in RESOURCES.items() if name.startswith("Archive")}
    assert len(archive) >= 7
    assert all(resource["Condition"] == "HasArchive" for resource in archive.values())
    outputs = [output for name, output in TEMPLATE["Outputs"].items() if name.startswith("Archive")]
    assert all(output["Condition"] == "HasArchive" for output in outputs)
    assert TEMPLATE["Parameters"]["ArchiveBucket"]["Default"] == ""


def test_the_archives_machine_is_given_what_its_definition_asks_for() -> None:
    definition = (ROOT / "archive.asl.json").read_text(encoding="utf-8")
    machine = RESOURCES["ArchiveMachine"]["Properties"]
    assert set(machine["DefinitionSubstitutions"]) == set(re.findall(r"\$\{(\w+)\}", definition))
    assert (ROOT / machine["DefinitionUri"]).exists()


def test_the_archives_roles_write_nothing_but_results() -> None:
    for role, allowed in (
        ("ArchiveRole", "${ArchiveResults.Arn}/*"),
        ("ArchiveMachineRole", "${ArchiveResults.Arn}/runs/*"),
    ):
        policies = RESOURCES[role]["Properties"]["Policies"]
        statements = [statement for policy in policies for statement in policy["PolicyDocument"]["Statement"]]
        writing = [each for each in statements if {"s3:PutObject", "s3:DeleteObject"} & set(each["Action"])]
        assert [each["Resource"] for each in writing] == [{"Sub": allowed}]
