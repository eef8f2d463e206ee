"""CloudWatch Logs with boto3: what a function wrote is found, page by page."""
import io
import json
import sys
import threading
import time
import zipfile

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

lam = boto3.client("lambda")
logs = boto3.client("logs")

CODE = """import json, os, urllib.request
def logs(action, **members):
    request = urllib.request.Request(os.environ["AWS_ENDPOINT_URL"] + "/", data=json.dumps(members).encode(), headers={
        "X-Amz-Target": "Logs_20140328." + action, "X-Amz-Security-Token": os.environ["AWS_SESSION_TOKEN"],
        "Authorization": "AWS4-HMAC-SHA256 Credential=%s/20260101/%s/logs/aws4_request, SignedHeaders=host, Signature=0" % (os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_REGION"])})
    return json.loads(urllib.request.urlopen(request, timeout=60).read() or b"null")
def handler(event, context):
    if "make" in event:
        logs("CreateLogGroup", logGroupName=event["make"])
        return logs("DescribeLogGroups", logGroupNamePrefix=event["make"])
    for i in range(event.get("lines", 0)):
        print("line %04d" % i)
    if "say" in event:
        print(json.dumps(event["say"]))
    return context.log_stream_name
"""
zipped = io.BytesIO()
with zipfile.ZipFile(zipped, "w") as z:
    info = zipfile.ZipInfo("app.py")
    info.external_attr = 0o644 << 16
    z.writestr(info, CODE)
lam.create_function(FunctionName="talker", Runtime=sys.argv[1], Handler="app.handler", Role="arn:aws:iam::111111111111:role/r", Code={"ZipFile": zipped.getvalue()})
lam.get_waiter("function_active_v2").wait(FunctionName="talker", WaiterConfig={"Delay": 1})
GROUP = "/aws/lambda/talker"


def invoke(**event):
    return json.load(lam.invoke(FunctionName="talker", Payload=json.dumps(event))["Payload"])


def refused(code, text, call, **args):
    try:
        call(**args)
    except ClientError as e:
        got = e.response["Error"]
        assert got["Code"] == code and text in got["Message"], got
        return
    raise AssertionError(f"{code} was expected")


def eventually(what, holds):
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.05)


refused("ResourceNotFoundException", "The specified log group does not exist.", logs.filter_log_events, logGroupName=GROUP)
begin = int(time.time() * 1000)
stream = invoke(lines=250)
invoke(say={"level": "WARN", "user": {"id": 7}})

# Groups and streams.
eventually("the group is there", lambda: logs.describe_log_groups(logGroupNamePrefix=GROUP)["logGroups"])
(group,) = logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/tal")["logGroups"]
assert group["logGroupName"] == GROUP and group["arn"].endswith(f":log-group:{GROUP}:*") and group["storedBytes"] > 0, group
assert begin - 1000 <= group["creationTime"] <= time.time() * 1000 + 1000 and "retentionInDays" not in group, group
(found,) = logs.describe_log_streams(logGroupName=GROUP, orderBy="LastEventTime", descending=True)["logStreams"]
assert found["logStreamName"] == stream and begin - 1000 < found["firstEventTimestamp"] <= found["lastEventTimestamp"], found
assert logs.describe_log_streams(logGroupIdentifier=group["logGroupArn"], logStreamNamePrefix=stream[:10])["logStreams"][0]["logStreamName"] == stream
refused("InvalidParameterException", "Cannot order by LastEventTime with a logStreamNamePrefix.", logs.describe_log_streams, logGroupName=GROUP, logStreamNamePrefix="x", orderBy="LastEventTime")

# FilterLogEvents: every event once, whatever the size of a page; the ids stay the same.
filtered = logs.get_paginator("filter_log_events")


def events(**args):
    return [e for p in filtered.paginate(logGroupName=GROUP, **args) for e in p["events"]]


everything = events()
paged = events(PaginationConfig={"PageSize": 40})
assert paged == everything and len({e["eventId"] for e in everything}) == len(everything) > 255, len(everything)
assert [e["message"] for e in everything if e["message"].startswith("line")] == ["line %04d\n" % i for i in range(250)]
assert sum(e["message"].startswith("START RequestId: ") for e in everything) == 2
assert [e["message"] for e in events(filterPattern='"line 0007"')] == ["line 0007\n"]
assert len(events(filterPattern="REPORT")) == 2 and not events(filterPattern="REPORT -RequestId")
assert len(events(filterPattern='?"line 0001" ?"line 0002"')) == 2
(said,) = events(filterPattern='{ $.level = "WARN" && $.user.id = 7 }')
assert json.loads(said["message"])["user"] == {"id": 7} and said["logStreamName"] == stream
assert not events(logStreamNames=["other"]) and events(logStreamNamePrefix=stream[:5]) == everything
middle = everything[100]["timestamp"]
assert events(startTime=middle, endTime=middle) == [e for e in everything if e["timestamp"] == middle]
refused("InvalidParameterException", "Invalid filter pattern", logs.filter_log_events, logGroupName=GROUP, filterPattern="{ $.x")
refused("InvalidParameterException", "nextToken is invalid", logs.filter_log_events, logGroupName=GROUP, nextToken="???")
refused("InvalidParameterException", "1 validation error detected: Value 'a b' at 'logGroupName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\.\\-_/#A-Za-z0-9]+",
        logs.filter_log_events, logGroupName="a b")

# GetLogEvents: forward to the end, where the token stays; backward to the beginning.
messages = [e["message"] for e in everything]
token, got = None, []
while True:
    args = {"nextToken": token} if token else {"startFromHead": True}
    page = logs.get_log_events(logGroupName=GROUP, logStreamName=stream, limit=60, **args)
    got += [e["message"] for e in page["events"]]
    if page["nextForwardToken"] == token:
        break
    token = page["nextForwardToken"]
assert got == messages, len(got)
forward = token
page, got = logs.get_log_events(logGroupName=GROUP, logStreamName=stream, limit=60), []
assert page["events"][-1]["message"] == messages[-1] and page["nextForwardToken"] == forward
while page["events"]:
    got = [e["message"] for e in page["events"]] + got
    before, page = page["nextBackwardToken"], logs.get_log_events(logGroupName=GROUP, logStreamName=stream, limit=60, nextToken=page["nextBackwardToken"])
assert got == messages and page["nextBackwardToken"] == before
refused("ResourceNotFoundException", "The specified log stream does not exist.", logs.get_log_events, logGroupName=GROUP, logStreamName="none")
invoke(say="later")
later = logs.get_log_events(logGroupName=GROUP, logStreamName=stream, nextToken=forward)["events"]
assert '"later"\n' in [e["message"] for e in later] and later[0]["message"].startswith("START"), later

# What `aws logs tail --follow` does: ask again from the last time on, and leave out what was shown.
seen, since = set(), begin


def poll():
    global since
    fresh = []
    for e in events(startTime=since):
        if e["eventId"] not in seen:
            seen.add(e["eventId"])
            fresh.append(e["message"])
            since = max(since, e["timestamp"])
    return fresh


assert poll()[: len(messages)] == messages and poll() == []
invoke(say="fresh")
fresh = poll()
assert fresh[0].startswith("START") and '"fresh"\n' in fresh and fresh[-1].startswith("REPORT") and poll() == [], fresh

# StartLiveTail, without the prefix of the host name that AWS's endpoint has.
tail = boto3.client("logs", config=Config(inject_host_prefix=False))
refused("ResourceNotFoundException", "does not exist", tail.start_live_tail, logGroupIdentifiers=[group["logGroupArn"] + "x"])
session = tail.start_live_tail(logGroupIdentifiers=[group["logGroupArn"]], logEventFilterPattern='"live"')["responseStream"]
start = next(iter(session))
assert start["sessionStart"]["logEventFilterPattern"] == '"live"', start
threading.Thread(target=invoke, kwargs={"say": "live"}).start()
for update in session:
    results = update["sessionUpdate"]["sessionResults"]
    if results:
        assert results[0]["message"] == '"live"\n' and results[0]["logGroupIdentifier"] == group["logGroupArn"], results
        break
session.close()

# What clients make and put.
logs.create_log_group(logGroupName="app", tags={"team": "a"})
refused("ResourceAlreadyExistsException", "The specified log group already exists", logs.create_log_group, logGroupName="app")
refused("InvalidParameterException", "kmsKeyId", logs.create_log_group, logGroupName="x", kmsKeyId="k")
logs.create_log_stream(logGroupName="app", logStreamName="s")
refused("ResourceAlreadyExistsException", "The specified log stream already exists", logs.create_log_stream, logGroupName="app", logStreamName="s")
now = int(time.time() * 1000)
put = logs.put_log_events(logGroupName="app", logStreamName="s", logEvents=[{"timestamp": 5, "message": "old"}, ][:1])
assert put["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 1}, put
put = logs.put_log_events(logGroupName="app", logStreamName="s", logEvents=[{"timestamp": now, "message": "one"}, {"timestamp": now + 1, "message": "two\n"}])
assert "rejectedLogEventsInfo" not in put and put["nextSequenceToken"]
assert [(e["timestamp"], e["message"]) for e in logs.get_log_events(logGroupName="app", logStreamName="s")["events"]] == [(now, "one"), (now + 1, "two\n")]
refused("InvalidParameterException", "chronological order", logs.put_log_events, logGroupName="app", logStreamName="s", logEvents=[{"timestamp": now, "message": "a"}, {"timestamp": now - 1, "message": "b"}])
refused("ResourceNotFoundException", "The specified log stream does not exist.", logs.put_log_events, logGroupName="app", logStreamName="t", logEvents=[{"timestamp": now, "message": "a"}])
arn = logs.describe_log_groups(logGroupNamePrefix="app")["logGroups"][0]["logGroupArn"]
logs.tag_resource(resourceArn=arn, tags={"stage": "dev"})
logs.untag_resource(resourceArn=arn, tagKeys=["team"])
assert logs.list_tags_for_resource(resourceArn=arn)["tags"] == {"stage": "dev"}

# Retention: what is older than a day is gone, for the function's group too.
two_days = now - 48 * 3600 * 1000
logs.put_log_events(logGroupName="app", logStreamName="s", logEvents=[{"timestamp": two_days, "message": "past"}])
assert len(logs.filter_log_events(logGroupName="app")["events"]) == 3
logs.put_retention_policy(logGroupName="app", retentionInDays=1)
assert [e["message"] for e in logs.filter_log_events(logGroupName="app")["events"]] == ["one", "two\n"]
assert logs.describe_log_groups(logGroupNamePrefix="app")["logGroups"][0]["retentionInDays"] == 1
put = logs.put_log_events(logGroupName="app", logStreamName="s", logEvents=[{"timestamp": two_days, "message": "past"}])
assert put["rejectedLogEventsInfo"] == {"expiredLogEventEndIndex": 1}, put
logs.delete_retention_policy(logGroupName="app")
assert len(logs.filter_log_events(logGroupName="app")["events"]) == 3
refused("InvalidParameterException", "Member must satisfy enum value set: [1, 3, 5,", logs.put_retention_policy, logGroupName="app", retentionInDays=2)

for name in "bcd":
    logs.create_log_stream(logGroupName="app", logStreamName=name)
names = [s["logStreamName"] for p in logs.get_paginator("describe_log_streams").paginate(logGroupName="app", PaginationConfig={"PageSize": 2}) for s in p["logStreams"]]
assert names == ["b", "c", "d", "s"], names
names = [g["logGroupName"] for p in logs.get_paginator("describe_log_groups").paginate(PaginationConfig={"PageSize": 1}) for g in p["logGroups"]]
assert names == [GROUP, "app"], names

logs.delete_log_stream(logGroupName="app", logStreamName="s")
assert logs.filter_log_events(logGroupName="app")["events"] == []
refused("ResourceNotFoundException", "The specified log stream does not exist.", logs.delete_log_stream, logGroupName="app", logStreamName="s")
logs.delete_log_group(logGroupName="app")
refused("ResourceNotFoundException", "The specified log group does not exist.", logs.delete_log_group, logGroupName="app")

# A function's group that was deleted begins anew; another account sees nothing of it.
logs.delete_log_group(logGroupName=GROUP)
invoke(say="anew")
assert '"anew"\n' in [e["message"] for e in events()] and len(events()) < 10

# The function asks for itself, from inside.
made = invoke(make="from-inside")
assert made["logGroups"][0]["logGroupName"] == "from-inside", made
assert logs.describe_log_groups(logGroupNamePrefix="from-inside")["logGroups"] == made["logGroups"]

other = boto3.client("logs", aws_access_key_id="222222222222", aws_secret_access_key="x")
assert other.describe_log_groups()["logGroups"] == []
