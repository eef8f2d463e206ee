"""SQS with boto3: long polling, batches, visibility, FIFO, dead letters and their way back."""
import json
import threading
import time

import boto3
from botocore.exceptions import ClientError

sqs = boto3.client("sqs")


def refused(code, f, **kw):
    try:
        f(**kw)
    except ClientError as e:
        assert e.response["Error"]["Code"] == code, e.response["Error"]
        return e.response["Error"]["Message"]
    raise AssertionError("not refused: " + code)


# Queues
url = sqs.create_queue(QueueName="work", Attributes={"VisibilityTimeout": "2"}, tags={"team": "a"})["QueueUrl"]
assert url.startswith("http://127.0.0.1:") and url.endswith("/111111111111/work"), url
assert sqs.create_queue(QueueName="work", Attributes={"VisibilityTimeout": "2"})["QueueUrl"] == url
refused("QueueAlreadyExists", sqs.create_queue, QueueName="work", Attributes={"VisibilityTimeout": "3"})
refused("InvalidAttributeValue", sqs.create_queue, QueueName="x", Attributes={"DelaySeconds": "901"})
refused("InvalidAttributeName", sqs.create_queue, QueueName="x", Attributes={"Nonsense": "1"})
assert "SqsManagedSseEnabled" in refused("AWS.SimpleQueueService.UnsupportedOperation", sqs.create_queue, QueueName="x", Attributes={"SqsManagedSseEnabled": "true"})
refused("InvalidParameterValue", sqs.create_queue, QueueName="a b")
refused("AWS.SimpleQueueService.NonExistentQueue", sqs.get_queue_url, QueueName="nobody")
try:
    sqs.get_queue_url(QueueName="nobody")
except sqs.exceptions.QueueDoesNotExist:
    pass
assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"team": "a"}
sqs.tag_queue(QueueUrl=url, Tags={"b": "c"})
sqs.untag_queue(QueueUrl=url, TagKeys=["team"])
assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"b": "c"}
about = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
assert about["QueueArn"] == "arn:aws:sqs:eu-west-1:111111111111:work" and about["MaximumMessageSize"] == "1048576", about
sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "1"})
assert sqs.list_queues(QueueNamePrefix="wo")["QueueUrls"] == [url] and "QueueUrls" not in sqs.list_queues(QueueNamePrefix="zz")

# One message: botocore compares the sums itself.
sent = sqs.send_message(QueueUrl=url, MessageBody="hällo", MessageAttributes={
    "n": {"DataType": "Number", "StringValue": "7"}, "b": {"DataType": "Binary.x", "BinaryValue": b"\x00\xff"}, "s": {"DataType": "String", "StringValue": "text"}})
got = sqs.receive_message(QueueUrl=url, AttributeNames=["All"], MessageAttributeNames=["All"])["Messages"]
assert len(got) == 1 and got[0]["Body"] == "hällo" and got[0]["MessageId"] == sent["MessageId"]
assert got[0]["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"] and got[0]["MessageAttributes"]["b"]["BinaryValue"] == b"\x00\xff"
assert got[0]["Attributes"]["ApproximateReceiveCount"] == "1" and got[0]["Attributes"]["SenderId"] == "111111111111", got
assert "Messages" not in sqs.receive_message(QueueUrl=url)
again = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=10, MessageAttributeNames=["s"], MessageSystemAttributeNames=["ApproximateReceiveCount"])["Messages"][0]
assert again["Attributes"] == {"ApproximateReceiveCount": "2"} and list(again["MessageAttributes"]) == ["s"], again
sqs.delete_message(QueueUrl=url, ReceiptHandle=got[0]["ReceiptHandle"])  # not the last receipt: changes nothing
sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=again["ReceiptHandle"], VisibilityTimeout=0)
last = sqs.receive_message(QueueUrl=url)["Messages"][0]
sqs.delete_message(QueueUrl=url, ReceiptHandle=last["ReceiptHandle"])
refused("ReceiptHandleIsInvalid", sqs.delete_message, QueueUrl=url, ReceiptHandle="nonsense")
refused("InvalidParameterValue", sqs.change_message_visibility, QueueUrl=url, ReceiptHandle=last["ReceiptHandle"], VisibilityTimeout=5)
refused("InvalidParameterValue", sqs.receive_message, QueueUrl=url, MaxNumberOfMessages=11)
refused("InvalidParameterValue", sqs.send_message, QueueUrl=url, MessageBody="x" * (1 << 20) + "x")
refused("InvalidMessageContents", sqs.send_message, QueueUrl=url, MessageBody="\x01")
sqs.send_message(QueueUrl=url, MessageBody="x" * (1 << 20))
big = sqs.receive_message(QueueUrl=url)["Messages"][0]
assert len(big["Body"]) == 1 << 20
sqs.delete_message(QueueUrl=url, ReceiptHandle=big["ReceiptHandle"])

# Long polling ends with the message, and not with the time.
threading.Timer(0.5, lambda: sqs.send_message(QueueUrl=url, MessageBody="late")).start()
begin = time.monotonic()
late = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"]
assert late[0]["Body"] == "late" and time.monotonic() - begin < 15
sqs.delete_message(QueueUrl=url, ReceiptHandle=late[0]["ReceiptHandle"])
begin = time.monotonic()
assert "Messages" not in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1) and time.monotonic() - begin > 0.9

# Batches
out = sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": str(i), "MessageBody": "m%d" % i} for i in range(9)] + [{"Id": "bad", "MessageBody": "x", "DelaySeconds": 901}])
assert len(out["Successful"]) == 9 and [(f["Id"], f["Code"], f["SenderFault"]) for f in out["Failed"]] == [("bad", "InvalidParameterValue", True)], out
got = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
assert sorted(m["Body"] for m in got) == ["m%d" % i for i in range(9)], got
out = sqs.change_message_visibility_batch(QueueUrl=url, Entries=[{"Id": m["Body"], "ReceiptHandle": m["ReceiptHandle"], "VisibilityTimeout": 60} for m in got])
assert len(out["Successful"]) == 9 and "Failed" not in out, out
assert sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessagesNotVisible"])["Attributes"] == {"ApproximateNumberOfMessagesNotVisible": "9"}
out = sqs.delete_message_batch(QueueUrl=url, Entries=[{"Id": m["Body"], "ReceiptHandle": m["ReceiptHandle"]} for m in got] + [{"Id": "bad", "ReceiptHandle": "x"}])
assert len(out["Successful"]) == 9 and out["Failed"][0]["Code"] == "ReceiptHandleIsInvalid", out
refused("AWS.SimpleQueueService.EmptyBatchRequest", sqs.send_message_batch, QueueUrl=url, Entries=[])
refused("AWS.SimpleQueueService.BatchEntryIdsNotDistinct", sqs.send_message_batch, QueueUrl=url, Entries=[{"Id": "a", "MessageBody": "x"}] * 2)
refused("AWS.SimpleQueueService.TooManyEntriesInBatchRequest", sqs.send_message_batch, QueueUrl=url, Entries=[{"Id": str(i), "MessageBody": "x"} for i in range(11)])
refused("AWS.SimpleQueueService.BatchRequestTooLong", sqs.send_message_batch, QueueUrl=url, Entries=[{"Id": str(i), "MessageBody": "x" * 600000} for i in range(2)])

# Delay and purge
sqs.send_message(QueueUrl=url, MessageBody="delayed", DelaySeconds=1)
counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessagesDelayed"])["Attributes"]
assert counts == {"ApproximateNumberOfMessagesDelayed": "1"}, counts
assert "Messages" not in sqs.receive_message(QueueUrl=url)
assert sqs.receive_message(QueueUrl=url, WaitTimeSeconds=10)["Messages"][0]["Body"] == "delayed"
sqs.purge_queue(QueueUrl=url)
refused("AWS.SimpleQueueService.PurgeQueueInProgress", sqs.purge_queue, QueueUrl=url)
assert "Messages" not in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=2)

# FIFO: the order of groups, their lock, repeated messages
refused("InvalidParameterValue", sqs.create_queue, QueueName="f.fifo")
fifo = sqs.create_queue(QueueName="f.fifo", Attributes={"FifoQueue": "true", "VisibilityTimeout": "30"})["QueueUrl"]
refused("MissingParameter", sqs.send_message, QueueUrl=fifo, MessageBody="x")
refused("InvalidParameterValue", sqs.send_message, QueueUrl=fifo, MessageBody="x", MessageGroupId="g")
first = sqs.send_message(QueueUrl=fifo, MessageBody="1", MessageGroupId="g", MessageDeduplicationId="d1")
same = sqs.send_message(QueueUrl=fifo, MessageBody="1", MessageGroupId="g", MessageDeduplicationId="d1")
assert (first["MessageId"], first["SequenceNumber"]) == (same["MessageId"], same["SequenceNumber"]) and len(first["SequenceNumber"]) == 20
for i in range(2, 5):
    sqs.send_message(QueueUrl=fifo, MessageBody=str(i), MessageGroupId="g", MessageDeduplicationId="d%d" % i)
sqs.send_message(QueueUrl=fifo, MessageBody="other", MessageGroupId="h", MessageDeduplicationId="h")
one = sqs.receive_message(QueueUrl=fifo, MaxNumberOfMessages=2, AttributeNames=["All"], ReceiveRequestAttemptId="try")["Messages"]
assert [m["Body"] for m in one] == ["1", "2"] and one[0]["Attributes"]["MessageGroupId"] == "g" and one[0]["Attributes"]["SequenceNumber"] == first["SequenceNumber"], one
repeated = sqs.receive_message(QueueUrl=fifo, MaxNumberOfMessages=2, ReceiveRequestAttemptId="try")["Messages"]
assert [m["ReceiptHandle"] for m in repeated] == [m["ReceiptHandle"] for m in one]
assert [m["Body"] for m in sqs.receive_message(QueueUrl=fifo, MaxNumberOfMessages=10)["Messages"]] == ["other"], "the group is locked"
sqs.delete_message(QueueUrl=fifo, ReceiptHandle=one[0]["ReceiptHandle"])
assert "Messages" not in sqs.receive_message(QueueUrl=fifo)
sqs.change_message_visibility(QueueUrl=fifo, ReceiptHandle=one[1]["ReceiptHandle"], VisibilityTimeout=0)
refused("InvalidParameterValue", sqs.delete_message, QueueUrl=fifo, ReceiptHandle=one[1]["ReceiptHandle"])
assert [m["Body"] for m in sqs.receive_message(QueueUrl=fifo, MaxNumberOfMessages=10)["Messages"]] == ["2", "3", "4"]
content = sqs.create_queue(QueueName="c.fifo", Attributes={"FifoQueue": "true", "ContentBasedDeduplication": "true"})["QueueUrl"]
for _ in range(2):
    sqs.send_message(QueueUrl=content, MessageBody="same", MessageGroupId="g")
assert len(sqs.receive_message(QueueUrl=content, MaxNumberOfMessages=10)["Messages"]) == 1

# Dead letters and their way back
dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
arn = "arn:aws:sqs:eu-west-1:111111111111:dead"
refused("InvalidParameterValue", sqs.create_queue, QueueName="y", Attributes={"RedrivePolicy": json.dumps({"deadLetterTargetArn": arn + "2", "maxReceiveCount": 2})})
source = sqs.create_queue(QueueName="source", Attributes={"VisibilityTimeout": "0", "RedrivePolicy": json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 2})})["QueueUrl"]
assert sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == [source]
sqs.send_message(QueueUrl=source, MessageBody="poison")
for n in "12":
    m = sqs.receive_message(QueueUrl=source, AttributeNames=["All"])["Messages"][0]
    assert m["Attributes"]["ApproximateReceiveCount"] == n
assert "Messages" not in sqs.receive_message(QueueUrl=source)
m = sqs.receive_message(QueueUrl=dead, AttributeNames=["All"], VisibilityTimeout=0)["Messages"][0]
assert m["Body"] == "poison" and m["Attributes"]["DeadLetterQueueSourceArn"].endswith(":source"), m
sqs.start_message_move_task(SourceArn=arn)
m = sqs.receive_message(QueueUrl=source, WaitTimeSeconds=10)["Messages"][0]
assert m["Body"] == "poison"
deadline = time.monotonic() + 20
while sqs.list_message_move_tasks(SourceArn=arn)["Results"][0]["Status"] != "COMPLETED":
    assert time.monotonic() < deadline
    time.sleep(0.1)
task = sqs.list_message_move_tasks(SourceArn=arn)["Results"][0]
assert task["ApproximateNumberOfMessagesMoved"] == 1, task
refused("ResourceNotFoundException", sqs.cancel_message_move_task, TaskHandle="nothing")
sqs.set_queue_attributes(QueueUrl=dead, Attributes={"RedriveAllowPolicy": json.dumps({"redrivePermission": "denyAll"})})
refused("InvalidParameterValue", sqs.create_queue, QueueName="z", Attributes={"RedrivePolicy": json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": "2"})})

for u in (url, fifo, content, dead, source):
    sqs.delete_queue(QueueUrl=u)
assert "QueueUrls" not in sqs.list_queues()
refused("AWS.SimpleQueueService.NonExistentQueue", sqs.receive_message, QueueUrl=url)
