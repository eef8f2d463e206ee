# Every Python from 2.7 on reads this file.
import logging
import os
import platform
import threading
import time

logger = logging.getLogger()


def look(context):
    return {
        "ctx": {
            "aws_request_id": context.aws_request_id,
            "function_name": context.function_name,
            "function_version": context.function_version,
            "invoked_function_arn": context.invoked_function_arn,
            "log_group_name": context.log_group_name,
            "log_stream_name": context.log_stream_name,
            "memory_limit_in_mb": context.memory_limit_in_mb,
            "remaining_time_in_millis": context.get_remaining_time_in_millis(),
        },
        "environment": dict(os.environ),
        "version": platform.python_version(),
    }


def broken():
    raise RuntimeError("nobody waits for this")


def handler(event, context):
    do = event.get("do")
    if do == "look":
        return look(context)
    if do == "fail":
        raise Exception("Failed: some_error_msg")
    if do == "sleep":
        time.sleep(30)
    if do == "exit":
        os._exit(3)
    if do == "background":
        thread = threading.Thread(target=broken)
        thread.start()
        thread.join()
        return "went on"
    if do == "log":
        print("printed")
        logger.debug("a debug line")
        logger.info("an info line")
        logger.warning("a warning\nof two lines")
        return "logged"
    return event
