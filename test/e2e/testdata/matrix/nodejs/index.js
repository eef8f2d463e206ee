'use strict';

// Every Node.js from 10 on reads this file.

const look = (context) => ({
  ctx: {
    aws_request_id: context.awsRequestId,
    function_name: context.functionName,
    function_version: context.functionVersion,
    invoked_function_arn: context.invokedFunctionArn,
    log_group_name: context.logGroupName,
    log_stream_name: context.logStreamName,
    remaining_time_in_millis: context.getRemainingTimeInMillis(),
  },
  environment: process.env,
  version: process.versions.node,
});

exports.handler = async (event, context) => {
  switch (event.do) {
    case 'look':
      return look(context);
    case 'fail':
      throw new Error('Error: some_error_msg');
    case 'sleep':
      return new Promise((resolve) => setTimeout(resolve, 30000));
    case 'exit':
      process.exit(3);
      break;
    case 'background':
      Promise.reject(new RangeError('nobody waits for this'));
      return new Promise((resolve) => setTimeout(resolve, 30000));
    case 'log':
      process.stdout.write('printed\n');
      console.debug('a debug line');
      console.info('an info line');
      console.warn('a warning\nof two lines');
      return 'logged';
    default:
      return event;
  }
};
