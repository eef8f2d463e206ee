# Every Ruby from 2.5 on reads this file.
require 'logger'

LOGGER = Logger.new($stdout)

def look(context)
  {
    ctx: {
      aws_request_id: context.aws_request_id,
      function_name: context.function_name,
      function_version: context.function_version,
      invoked_function_arn: context.invoked_function_arn,
      log_group_name: context.log_group_name,
      log_stream_name: context.log_stream_name,
      memory_limit_in_mb: context.memory_limit_in_mb,
      remaining_time_in_millis: context.get_remaining_time_in_millis
    },
    environment: ENV.to_h,
    version: RUBY_VERSION
  }
end

def handler(event:, context:)
  case event['do']
  when 'look' then look(context)
  when 'fail' then raise 'Error: some_error_msg'
  when 'sleep' then sleep 30
  when 'exit' then exit!(3)
  when 'background'
    thread = Thread.new do
      Thread.current.report_on_exception = true
      raise RangeError, 'nobody waits for this'
    end
    sleep 0.001 while thread.alive?
    'went on'
  when 'log'
    puts 'printed'
    LOGGER.debug('a debug line')
    LOGGER.info('an info line')
    LOGGER.warn("a warning\nof two lines")
    'logged'
  else event
  end
end
