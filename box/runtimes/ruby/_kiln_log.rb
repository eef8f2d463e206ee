# frozen_string_literal: true

begin
  require 'logger'
rescue LoadError
  nil # a Ruby whose logger is a gem that was not installed
end

module KilnLambda
  # Where the lines of a function's log go: to the standard output, or with their
  # boundaries to the telemetry descriptor.
  module Log
    # The type of a frame with text and a time.
    FRAME = 0xa55a0003
    LEVELS = { 'TRACE' => 0, 'DEBUG' => 0, 'INFO' => 1, 'WARN' => 2, 'ERROR' => 3, 'FATAL' => 4 }.freeze

    class << self
      attr_reader :frames

      # Flushes both streams with each write, so that what was printed is in the pipe
      # before anything that follows, and gives loggers AWS's format.
      def open
        $stdout.sync = $stderr.sync = true
        descriptor = ENV.delete('_LAMBDA_TELEMETRY_LOG_FD').to_s
        if descriptor =~ /\A\d+\z/
          @frames = IO.for_fd(descriptor.to_i, 'wb', autoclose: false)
          @frames.sync = @frames.close_on_exec = true
          Object.prepend(FramedPuts)
        end
        Logger.prepend(LoggerPatch) if defined?(Logger)
      end

      # Writes one message as a frame.
      def frame(message)
        text = message.b
        now = Process.clock_gettime(Process::CLOCK_REALTIME, :microsecond)
        @frames.write([FRAME, text.bytesize, now >> 32, now & 0xffffffff].pack('N4') << text)
      end

      # Writes an error as AWS's runtime does: what it is, and the object that is
      # posted. Its lines are joined by carriage returns, so that it stays one record.
      def error(message, posted)
        return object(message, posted) if Log.structured?

        text = JSON.pretty_generate(posted)
        return [message, text].each { |part| frame(part) } if @frames

        $stdout.write("#{message}\n#{text.tr("\n", "\r")}\n")
      end

      # Writes an error as one object.
      def object(message, posted)
        stamp = Time.now.utc.strftime('%Y-%m-%dT%H:%M:%S.%6NZ')
        entry = { timestamp: stamp, level: 'ERROR', message: message, requestId: $_global_aws_request_id, tenantId: $_global_aws_tenant_id }
        text = JSON.generate(entry.reject { |_, value| value.nil? }.merge(posted))
        @frames ? frame(text) : $stdout.write("#{text}\n")
      end

      # Brings everything that was printed on its way; the function may have closed or
      # replaced the streams.
      def flush
        [$stdout, $stderr].each do |stream|
          begin
            stream.flush
          rescue StandardError
            nil
          end
        end
      end
    end

    # Where loggers of the standard streams write when there are frames.
    class FrameDevice
      def write(message)
        Log.frame(message)
      end

      def close; end
    end

    # Kernel#puts as a frame.
    module FramedPuts
      private

      def puts(*arguments)
        Log.frame(arguments.flatten.map(&:to_s).join("\n"))
        nil
      end
    end

    # Formats lines as AWS's runtime does, with the request's id.
    module Lines
      def self.call(severity, time, program, message)
        text = message.is_a?(String) ? message : Lines.text(message)
        stamp = time.strftime('%Y-%m-%dT%H:%M:%S.%6N')
        line = format('%s, [%s #%d] %5s %s -- %s: %s', severity[0], stamp, Process.pid, severity, $_global_aws_request_id, program, text)
        "#{line.encode('UTF-8', invalid: :replace, undef: :replace)}\n"
      end

      # Gives what is no text as the standard formatter does.
      def self.text(message)
        return message.inspect unless message.is_a?(Exception)

        "#{message.message} (#{message.class})\n#{Array(message.backtrace).join("\n")}"
      end
    end

    # Formats lines as objects of JSON.
    module Objects
      def self.call(severity, time, program, message)
        entry = {
          timestamp: time.utc.strftime('%Y-%m-%dT%H:%M:%S.%6NZ'),
          level: severity,
          message: message.is_a?(Exception) ? message.message : message.is_a?(String) ? message : message.inspect,
          requestId: $_global_aws_request_id,
          tenantId: $_global_aws_tenant_id
        }
        entry[:logger] = program.to_s unless program.to_s.empty?
        if message.is_a?(Exception)
          entry[:errorType] = message.class.to_s
          entry[:errorMessage] = message.message
          entry[:stackTrace] = Array(message.backtrace)
        end
        "#{JSON.generate(entry.reject { |_, value| value.nil? })}\n"
      end
    end

    # AWS has structured logs of Ruby since 4.0.
    def self.structured?
      ENV['AWS_LAMBDA_LOG_FORMAT'].to_s.casecmp('JSON').zero? && RUBY_VERSION.to_i >= 4
    end

    # Gives loggers of the standard streams, and those without a stream, the function's
    # log and AWS's format.
    module LoggerPatch
      def initialize(device = nil, *arguments, **options)
        standard = device.nil? || device.equal?($stdout) || device.equal?($stderr)
        if standard
          device = Log.frames ? FrameDevice.new : device || $stdout
          level = LEVELS[ENV['AWS_LAMBDA_LOG_LEVEL'].to_s.upcase]
          options = { level: level }.merge(options) if level
        end
        super(device, *arguments, **options)
        @default_formatter = Log.structured? ? Objects : Lines if standard
      end
    end
  end
end
