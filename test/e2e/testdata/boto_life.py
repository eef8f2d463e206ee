"""boto3 with only an endpoint set: its default retries and its own waiters."""
import io
import json
import sys
import zipfile

import boto3

runtime = sys.argv[1]
client = boto3.client("lambda")


def package(text):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        entry = zipfile.ZipInfo("app.py")
        entry.external_attr = 0o644 << 16  # writestr's own 0600 is not readable on AWS either
        z.writestr(entry, text)
    return out.getvalue()


def call(name, payload, **kw):
    r = client.invoke(FunctionName=name, Payload=json.dumps(payload), **kw)
    assert r["StatusCode"] == 200, r
    return r, json.loads(r["Payload"].read())


made = client.create_function(
    FunctionName="boto",
    Runtime=runtime,
    Handler="app.handler",
    Role="arn:aws:iam::111111111111:role/any",
    Code={"ZipFile": package("import os\ndef handler(event, context):\n    if event.get('fail'):\n        raise ValueError('on purpose')\n    return [event, os.environ.get('COLOUR')]\n")},
    Environment={"Variables": {"COLOUR": "red"}},
    Tags={"team": "a"},
)
assert made["State"] == "Pending" and made["StateReasonCode"] == "Creating", made
client.get_waiter("function_active_v2").wait(FunctionName="boto")
client.get_waiter("function_exists").wait(FunctionName="boto")

r, answer = call("boto", {"a": 1})
assert answer == [{"a": 1}, "red"], answer
assert "FunctionError" not in r

r, answer = call("boto", {"fail": True}, LogType="Tail")
assert r["FunctionError"] == "Unhandled", r
assert answer["errorType"] == "ValueError" and answer["errorMessage"] == "on purpose", answer
assert answer["requestId"] == r["ResponseMetadata"]["RequestId"], (answer, r)

client.update_function_configuration(FunctionName="boto", Environment={"Variables": {"COLOUR": "blue"}}, Timeout=7)
client.get_waiter("function_updated_v2").wait(FunctionName="boto")
assert call("boto", {})[1] == [{}, "blue"]
got = client.get_function(FunctionName="boto")
assert got["Configuration"]["Timeout"] == 7 and got["Tags"] == {"team": "a"}, got

one = client.publish_version(FunctionName="boto")
assert one["Version"] == "1", one
client.get_waiter("published_version_active").wait(FunctionName="boto", Qualifier="1")
client.get_waiter("function_active").wait(FunctionName="boto")
client.get_waiter("function_updated").wait(FunctionName="boto")
assert client.publish_version(FunctionName="boto")["Version"] == "1", "nothing changed, so no new version"
client.create_alias(FunctionName="boto", Name="live", FunctionVersion="1")
assert call("boto", {}, Qualifier="live")[0]["ExecutedVersion"] == "1"
assert [v["Version"] for v in client.list_versions_by_function(FunctionName="boto")["Versions"]] == ["$LATEST", "1"]
assert [a["Name"] for a in client.list_aliases(FunctionName="boto")["Aliases"]] == ["live"]
names = [f["FunctionName"] for page in client.get_paginator("list_functions").paginate() for f in page["Functions"]]
assert names == ["boto"], names

for bad, kind in (
    (lambda: client.invoke(FunctionName="absent"), "ResourceNotFoundException"),
    (lambda: client.invoke(FunctionName="boto", Qualifier="absent"), "ResourceNotFoundException"),
    (lambda: client.invoke(FunctionName="boto", Payload="{not json"), "InvalidRequestContentException"),
    (lambda: client.create_function(FunctionName="boto", Runtime=runtime, Handler="a.b", Role="arn:aws:iam::111111111111:role/any", Code={"ZipFile": package("")}), "ResourceConflictException"),
):
    try:
        bad()
        raise SystemExit("no error, want " + kind)
    except client.exceptions.ClientError as e:
        assert e.response["Error"]["Code"] == kind, e.response

client.delete_alias(FunctionName="boto", Name="live")
client.delete_function(FunctionName="boto")
