# frozen_string_literal: true

require 'socket'

module KilnLambda
  # The Runtime API closed the connection: the environment is over.
  class Gone < StandardError; end

  # One answer of the Runtime API, with what functions that replace the marshaller
  # expect of it: headers by name, whatever the case, and the body.
  class Answer
    attr_accessor :status, :body
    attr_reader :headers

    def initialize
      @headers = {}
    end

    def [](name)
      @headers[name.downcase]
    end
  end

  # The Runtime API over one raw connection. It never interprets what it carries. An
  # outcome and the question for the next invocation leave in one write.
  class RuntimeAPI
    ROOT = '/2018-06-01/runtime'

    def initialize(address)
      host, _, port = address.rpartition(':')
      @host = address
      @socket = TCPSocket.new(host.delete('[]'), port.to_i)
      @socket.setsockopt(Socket::IPPROTO_TCP, Socket::TCP_NODELAY, 1)
      @socket.binmode
      @socket.sync = true
      @rest = String.new
      @owed = 0
      @ask = "GET #{ROOT}/invocation/next HTTP/1.1\r\nHost: #{address}\r\n\r\n".b.freeze
    end

    # Waits for the next invocation. When an outcome is still on its way, the question
    # is too, and the API's word on the outcome changes nothing here: what it refused
    # it has made into an error for the caller.
    def next
      send(@ask) if @owed.zero?
      while @owed > 0
        @owed -= 1
        answer
      end
      work = answer
      raise Gone, "status #{work.status}" unless work.status == 200

      work
    end

    # Posts the outcome of an invocation and asks for the next one.
    def post(path, body, headers)
      send(request(path, body, headers) << @ask)
      @owed += 1
    end

    # Posts and waits for the answer.
    def post_alone(path, body, headers)
      send(request(path, body, headers))
      answer
    end

    private

    def request(path, body, headers)
      head = "POST #{ROOT}#{path} HTTP/1.1\r\nHost: #{@host}\r\n".b
      headers.each { |name, value| head << "#{name}: #{safe(value)}\r\n" }
      head << "Content-Length: #{body.bytesize}\r\n\r\n" << body.b
    end

    # Gives text as it may stand in a header line.
    def safe(text)
      text.to_s[0, 256].b.gsub(/[^\x20-\x7e]/n, '?')
    end

    def send(data)
      @socket.write(data)
    rescue SystemCallError, IOError => error
      raise Gone, error.message
    end

    def more
      @socket.readpartial(65_536)
    rescue EOFError
      raise Gone, 'end of stream'
    rescue SystemCallError, IOError => error
      raise Gone, error.message
    end

    # Takes everything up to an end off the stream.
    def up_to(ending)
      from = 0
      until (at = @rest.index(ending, from))
        from = [0, @rest.bytesize - ending.bytesize].max
        @rest << more
      end
      taken = @rest.byteslice(0, at)
      @rest = @rest.byteslice(at + ending.bytesize, @rest.bytesize)
      taken
    end

    # Takes size bytes off the stream.
    def exactly(size)
      @rest << more while @rest.bytesize < size
      taken = @rest.byteslice(0, size)
      @rest = @rest.byteslice(size, @rest.bytesize)
      taken
    end

    # Takes a body in chunks off the stream.
    def chunks
      body = String.new
      while (size = up_to("\r\n").to_i(16)) > 0
        body << exactly(size)
        exactly(2)
      end
      nil until up_to("\r\n").empty?
      body
    end

    def answer
      found = nil
      loop do
        found = Answer.new
        lines = up_to("\r\n\r\n").split("\r\n")
        found.status = lines.shift.split(' ')[1].to_i
        lines.each do |line|
          name, value = line.split(':', 2)
          found.headers[name.downcase] = value.to_s.strip.force_encoding('UTF-8')
        end
        break if found.status >= 200
      end
      chunked = found['transfer-encoding'].to_s.downcase.include?('chunked')
      found.body = (chunked ? chunks : exactly(found['content-length'].to_i)).force_encoding('UTF-8')
      found
    end
  end
end
