# frozen_string_literal: true

# The Runtime API client of kiln for Ruby 2.5 and later: loads the handler, asks for
# invocations, calls the handler and posts what it returned or raised. It uses the
# standard library only.

Encoding.default_external = Encoding::UTF_8
# The locale that let this process read UTF-8 where the one that LANG names is not
# installed: functions and their programs see what they see on AWS.
ENV.delete('LC_ALL') if ENV['LC_ALL'] == 'C.UTF-8'

require 'json'
require 'stringio'
require_relative '_kiln_wire'
require_relative '_kiln_log'

# What a handler gets as its context.
class LambdaContext
  attr_reader :aws_request_id, :invoked_function_arn, :log_group_name, :log_stream_name, :function_name,
              :memory_limit_in_mb, :function_version, :identity, :client_context, :deadline_ms, :tenant_id

  def initialize(request)
    @aws_request_id = request['Lambda-Runtime-Aws-Request-Id']
    @invoked_function_arn = request['Lambda-Runtime-Invoked-Function-Arn']
    @deadline_ms = request['Lambda-Runtime-Deadline-Ms'].to_i
    @tenant_id = request['Lambda-Runtime-Aws-Tenant-Id']
    @log_group_name = ENV['AWS_LAMBDA_LOG_GROUP_NAME']
    @log_stream_name = ENV['AWS_LAMBDA_LOG_STREAM_NAME']
    @function_name = ENV['AWS_LAMBDA_FUNCTION_NAME']
    @memory_limit_in_mb = ENV['AWS_LAMBDA_FUNCTION_MEMORY_SIZE']
    @function_version = ENV['AWS_LAMBDA_FUNCTION_VERSION']
    @identity = object(request['Lambda-Runtime-Cognito-Identity'])
    @client_context = object(request['Lambda-Runtime-Client-Context'])
  end

  def get_remaining_time_in_millis
    [0, @deadline_ms - Process.clock_gettime(Process::CLOCK_REALTIME, :millisecond)].max
  end

  private

  def object(header)
    JSON.parse(header) if header
  end
end

module AwsLambda
  # Reads events and writes answers. Functions may replace its methods.
  class Marshaller
    class << self
      def marshall_request(raw_request)
        raw_request['Content-Type'] == 'application/json' ? JSON.parse(raw_request.body) : raw_request.body
      end

      def marshall_response(method_response)
        case method_response
        when StringIO, IO
          [method_response, 'application/unknown']
        else
          method_response.to_json
        end
      end
    end
  end
end

module KilnLambda
  HERE = File.dirname(File.expand_path(__FILE__))
  # The classes whose names AWS counts; all others are one to it.
  COUNTED = %w[ArgumentError NoMethodError Exception StandardError NameError LoadError SystemExit SystemStackError].freeze

  # Something that went wrong, in the words that are posted.
  class Fault
    attr_reader :posted

    # The phase is Function, Init or Runtime.
    def initialize(error, phase)
      @name = error.class.to_s
      type = "#{phase}<#{@name}>"
      @header = COUNTED.include?(@name) ? type : 'Function<UserException>'
      @posted = { errorMessage: text(error), errorType: type, stackTrace: trace(error) }
    end

    def headers
      { 'Content-Type' => 'application/json', 'Lambda-Runtime-Function-Error-Type' => @header }
    end

    def body
      JSON.generate(@posted)
    end

    private

    def text(error)
      error.message.to_s.dup.force_encoding('UTF-8').scrub
    end

    # Gives the frames above the runtime's own.
    def trace(error)
      frames = error.backtrace || []
      frames.take_while { |frame| !frame.start_with?(HERE + '/') }.first(100).map { |frame| frame.dup.force_encoding('UTF-8').scrub }
    end
  end

  # What the handler's name stands for: FILE.METHOD or FILE.CLASS.METHOD.
  class Handler
    attr_reader :file

    def initialize(name)
      parts = name.split('.')
      unless [2, 3].include?(parts.size)
        raise ArgumentError, "Invalid handler #{name}, must be of form FILENAME.METHOD or FILENAME.CLASS.METHOD " \
                             'where FILENAME corresponds with an existing Ruby source file FILENAME.rb, CLASS is an optional ' \
                             'module/class namespace and METHOD is a callable method. If using CLASS, METHOD must be a ' \
                             'class-level method.'
      end
      @file = parts.first
      @method = parts.last
      @class_name = parts[1] if parts.size == 3
      @receiver = Object.new # methods of a file belong to every object
    end

    def call(event, context)
      receiver = @class_name ? Kernel.const_get(@class_name) : @receiver
      receiver.__send__(@method, event: event, context: context)
    end
  end

  class << self
    # Serves invocations until the environment is over.
    def main
      Log.open
      begin
        api = RuntimeAPI.new(ENV['AWS_LAMBDA_RUNTIME_API'])
        root = ENV['LAMBDA_TASK_ROOT'] || Dir.pwd
        $LOAD_PATH.delete(root)
        $LOAD_PATH.unshift(root)
        serve(api, load_handler(api, ENV['_HANDLER'].to_s))
      rescue Gone => error
        warn "the Runtime API is gone: #{error.message}"
        exit!(1)
      end
    end

    private

    # Gives the handler; one that cannot be loaded ends the process.
    def load_handler(api, name)
      handler = Handler.new(name)
      require handler.file
      handler
    rescue Gone
      raise
    rescue Exception => error
      fault = Fault.new(error, 'Init')
      Log.error("Init error when loading handler #{name}", fault.posted)
      Log.flush
      api.post_alone('/init/error', fault.body, fault.headers)
      exit(-4)
    end

    def serve(api, handler)
      loop do
        work = api.next
        id = $_global_aws_request_id = work['Lambda-Runtime-Aws-Request-Id']
        $_global_aws_tenant_id = work['Lambda-Runtime-Aws-Tenant-Id']
        ENV['_X_AMZN_TRACE_ID'] = work['Lambda-Runtime-Trace-Id']
        echo = { 'Lambda-Runtime-Invocation-Id' => work['Lambda-Runtime-Invocation-Id'] }.reject { |_, value| value.nil? }
        outcome, code = invoke(handler, work)
        Log.flush
        if outcome.is_a?(Fault)
          path = "/invocation/#{id}/error"
          if code
            api.post_alone(path, outcome.body, outcome.headers.merge(echo))
            exit(code)
          end
          api.post(path, outcome.body, outcome.headers.merge(echo))
        else
          body, type = outcome
          api.post("/invocation/#{id}/response", body, echo.merge('Content-Type' => type))
        end
      end
    end

    # Runs one invocation. It gives the body and type of the answer, or a fault; and the
    # exit code when the process is in no state to go on.
    def invoke(handler, work)
      begin
        context = LambdaContext.new(work)
        event = AwsLambda::Marshaller.marshall_request(work)
      rescue StandardError => error
        fault = Fault.new(error, 'Runtime')
        Log.error('Error reading the event', fault.posted)
        return [fault, nil]
      end
      begin
        [answer(AwsLambda::Marshaller.marshall_response(handler.call(event, context))), nil]
      rescue NameError => error # a missing method too
        failed(error, -1)
      rescue StandardError => error
        failed(error, nil)
      rescue Exception => error
        failed(error, -1)
      end
    end

    def failed(error, code)
      fault = Fault.new(error, 'Function')
      Log.error(code ? 'Critical exception from handler' : 'Error raised from handler method', fault.posted)
      [fault, code]
    end

    # Gives what a marshaller made as bytes and their type.
    def answer(made)
      content, type = made
      content = content.read if content.respond_to?(:read)
      [content.to_s, type || 'application/json']
    end
  end
end
