"""boto3 against a function that streams its answer."""
import json
import os

import boto3

c = boto3.client("lambda", endpoint_url=os.environ["AWS_ENDPOINT_URL"])


def stream(event):
    answer = c.invoke_with_response_stream(FunctionName="stream", Payload=json.dumps(event), LogType="Tail")
    assert answer["ResponseStreamContentType"] == "application/vnd.amazon.eventstream", answer
    assert answer["ExecutedVersion"] == "$LATEST", answer
    body, end = b"", None
    for message in answer["EventStream"]:
        if "PayloadChunk" in message:
            body += message["PayloadChunk"]["Payload"]
        else:
            end = message["InvokeComplete"]
    return body, end


body, end = stream({})
assert body.startswith(b"hello "), body
assert "ErrorCode" not in end and end["LogResult"], end

body, end = stream({"mode": "large", "bytes": 3000000})
assert len(body) == 3000000, len(body)

body, end = stream({"mode": "fail"})
assert body == b"part" and end["ErrorCode"] == "Unhandled", (body, end)
assert json.loads(end["ErrorDetails"])["errorType"] == "RangeError", end

try:
    c.invoke_with_response_stream(FunctionName="nobody")
    raise SystemExit("a function that is not there was invoked")
except c.exceptions.ResourceNotFoundException:
    pass
