"""A function that calls the API inside of its environment; its event says how."""
import json
import os
import socket
import threading
import time
import urllib.error
import urllib.request

LIST = "/2015-03-31/functions/"
held = []  # connections that wait for their answers while the environment is frozen


def send(method, path, body=None, headers=None, base=None):
    """One request with nothing but the token, by which it is known to be meant."""
    all_headers = {"X-Amz-Security-Token": os.environ["AWS_SESSION_TOKEN"]}
    all_headers.update(headers or {})
    request = urllib.request.Request(
        (base or os.environ["AWS_ENDPOINT_URL"]) + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={name: value for name, value in all_headers.items() if value is not None},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()


def arns():
    return [f["FunctionArn"] for f in json.loads(send("GET", LIST)[1])["Functions"]]


def invocations(name):
    return LIST + name + "/invocations"


def reach(address):
    """Whether something answers there: "open", or why not."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), 2).close()
        return "open"
    except OSError as e:
        return type(e).__name__


def handler(event, context):
    do = event.get("do")
    if do == "self":  # down to 0, each in an environment of its own
        if event["depth"] == 0:
            return "bottom"
        status, text = send("POST", invocations(context.function_name), {"do": "self", "depth": event["depth"] - 1})
        return [status, json.loads(text)]
    if do == "trace":
        return os.environ["_X_AMZN_TRACE_ID"]
    if do == "sleep":
        time.sleep(event["seconds"])
        return "slept"
    if do == "raw":
        return {"url": os.environ["AWS_ENDPOINT_URL"], "functions": arns(), "answer": send("POST", invocations(event["name"]), event["payload"])}
    if do == "boto":
        import boto3  # from the package; it knows nothing but its environment

        client = boto3.client("lambda")
        names = [f["FunctionArn"] for page in client.get_paginator("list_functions").paginate() for f in page["Functions"]]
        answer = client.invoke(FunctionName=event["name"], Payload=json.dumps(event["payload"]))
        error = ""
        try:
            boto3.client("lambda", aws_access_key_id="222222222222", aws_secret_access_key="x").list_functions()
        except client.exceptions.ClientError as e:
            error = e.response["Error"]["Code"] + ": " + e.response["Error"]["Message"]
        return {"functions": names, "answer": json.loads(answer["Payload"].read()), "foreign": error, "trace": os.environ["_X_AMZN_TRACE_ID"]}
    if do == "send":
        return send(event["method"], event["path"], event.get("body"), event.get("headers"), event.get("base"))
    if do == "token":
        return os.environ["AWS_SESSION_TOKEN"]
    if do == "reach":
        return {address: reach(address) for address in event["addresses"]}
    if do == "download":
        location = json.loads(send("GET", LIST + context.function_name)[1])["Code"]["Location"]
        with urllib.request.urlopen(location, timeout=60) as answer:
            return [location, answer.read(2).decode()]
    if do == "ask":  # and go to sleep before the answer comes
        host, port = os.environ["AWS_ENDPOINT_URL"][len("http://"):].split(":")
        body = json.dumps(event["payload"])
        c = socket.create_connection((host, int(port)), 10)
        c.sendall(
            f"POST {invocations(event['name'])} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
            f"X-Amz-Security-Token: {os.environ['AWS_SESSION_TOKEN']}\r\n\r\n{body}".encode()
        )
        held.append(c)
        time.sleep(0.2)  # or the call may find this environment free and be served by it
        return "asked"
    if do == "hear":
        if not held:  # another environment asked; leave the next call to that one
            time.sleep(3)
            return ""
        c = held.pop()
        c.settimeout(60)
        heard = b""
        while part := c.recv(65536):
            heard += part
        return heard.split(b"\r\n\r\n", 1)[1].decode()
    if do == "flood":  # connections that say nothing, as many as there can be
        host, port = os.environ["AWS_ENDPOINT_URL"][len("http://"):].split(":")
        try:
            while True:
                held.append(socket.create_connection((host, int(port)), 2))
        except OSError as e:
            return [len(held), type(e).__name__]
    if do == "leave":  # with a request under way
        threading.Thread(target=send, args=("POST", invocations(event["name"]), event["payload"])).start()
        time.sleep(event["after"])
        os._exit(3)
    return event
