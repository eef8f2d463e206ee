"""A function in Python: standard library only, the same file runs on AWS Lambda."""

import platform


def lambda_handler(event, context):
    name = event.get("name", "world")
    print(f"greeting {name}")
    return {
        "message": f"Hello, {name}!",
        "requestId": context.aws_request_id,
        "python": platform.python_version(),
    }
