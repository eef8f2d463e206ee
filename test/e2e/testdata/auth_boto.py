"""boto3 against a server that checks signatures: roles, sessions, presigned URLs, denials."""
import io
import json
import os
import sys
import urllib.request
import zipfile

import boto3
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError

runtime = sys.argv[1]
account = "111111111111"
sts, iam, functions = boto3.client("sts"), boto3.client("iam"), boto3.client("lambda")


def refused(code, call, **kwargs):
    try:
        call(**kwargs)
    except ClientError as e:
        assert e.response["Error"]["Code"] == code, e
        return e.response["Error"]["Message"]
    raise AssertionError(f"{call} was not refused")


who = sts.get_caller_identity()
assert (who["Account"], who["Arn"]) == (account, f"arn:aws:iam::{account}:root"), who
refused("AccessDenied", sts.assume_role, RoleArn=f"arn:aws:iam::{account}:role/kiln", RoleSessionName="me")

trust = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"},
    {"Effect": "Allow", "Principal": {"AWS": account}, "Action": "sts:AssumeRole"}]}
for name in ("any", "reader"):
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust), Description="of a test", Tags=[{"Key": "a", "Value": "b"}])["Role"]
    assert made["Arn"] == f"arn:aws:iam::{account}:role/{name}" and made["AssumeRolePolicyDocument"] == trust, made
refused("EntityAlreadyExists", iam.create_role, RoleName="any", AssumeRolePolicyDocument=json.dumps(trust))
refused("MalformedPolicyDocument", iam.put_role_policy, RoleName="any", PolicyName="x", PolicyDocument="{")
iam.attach_role_policy(RoleName="reader", PolicyArn="arn:aws:iam::aws:policy/AWSLambda_ReadOnlyAccess")
assert [p["PolicyName"] for p in iam.list_attached_role_policies(RoleName="reader")["AttachedPolicies"]] == ["AWSLambda_ReadOnlyAccess"]
assert {"any", "kiln", "reader"} <= {r["RoleName"] for page in iam.get_paginator("list_roles").paginate(PaginationConfig={"PageSize": 1}) for r in page["Roles"]}
iam.get_waiter("role_exists").wait(RoleName="any")

out = io.BytesIO()
with zipfile.ZipFile(out, "w") as z:
    entry = zipfile.ZipInfo("app.py")
    entry.external_attr = 0o644 << 16
    z.writestr(entry, "def handler(event, context):\n    return event\n")
functions.create_function(FunctionName="authed", Runtime=runtime, Handler="app.handler", Role=f"arn:aws:iam::{account}:role/any", Code={"ZipFile": out.getvalue()})
functions.get_waiter("function_active_v2").wait(FunctionName="authed")
arn = functions.get_function_configuration(FunctionName="authed")["FunctionArn"]
assert functions.get_function(FunctionName=arn)["Configuration"]["FunctionName"] == "authed"  # the client escapes its colons
big = json.dumps("ü" * 100000)
assert json.load(functions.invoke(FunctionName=arn, Payload=big.encode())["Payload"]) == "ü" * 100000

permission = functions.add_permission(FunctionName="authed", StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com", SourceArn="arn:aws:s3:::pictures")
policy = functions.get_policy(FunctionName="authed")
assert json.loads(policy["Policy"])["Statement"] == [json.loads(permission["Statement"])], policy
functions.remove_permission(FunctionName="authed", StatementId="s3", RevisionId=policy["RevisionId"])
refused("ResourceNotFoundException", functions.get_policy, FunctionName="authed")

presigned = AWSRequest("GET", functions.meta.endpoint_url + "/2015-03-31/functions/authed")
session = boto3.Session().get_credentials()
SigV4QueryAuth(session, "lambda", functions.meta.region_name, expires=30).add_auth(presigned)
with urllib.request.urlopen(presigned.url) as answer:
    assert json.load(answer)["Configuration"]["FunctionName"] == "authed"

known, unknown = os.environ["AWS_ACCESS_KEY_ID"], "AKIANOBODY0000000000"
for service, call, mismatch, nobody in (("lambda", "list_functions", "InvalidSignatureException", "UnrecognizedClientException"),
                                        ("sts", "get_caller_identity", "SignatureDoesNotMatch", "InvalidClientTokenId")):
    for key, code in ((known, mismatch), (unknown, nobody)):
        refused(code, getattr(boto3.client(service, aws_access_key_id=key, aws_secret_access_key="x" * 40), call))
functions.delete_function(FunctionName="authed")
iam.detach_role_policy(RoleName="reader", PolicyArn="arn:aws:iam::aws:policy/AWSLambda_ReadOnlyAccess")
iam.delete_role(RoleName="reader")
refused("NoSuchEntity", iam.get_role, RoleName="reader")
