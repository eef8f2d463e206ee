'use strict';

// Answers that leave while the function writes them: what a function finds under
// the name awslambda, and the stream that it is given. It never decides when an
// invocation is over.

const { Writable } = require('stream');
const { fault } = require('./log');

// Where AWS's runtime keeps what was said about a handler; libraries set it, too.
const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming');
const HIGH_WATER_MARK = Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark');

const HTTP_TYPE = 'application/vnd.awslambda.http-integration-response';

// isStreaming reports whether a handler wants to stream its answer.
function isStreaming(handler) {
  const kind = handler[STREAMING];
  if (!kind) {
    return false;
  }
  if (kind !== 'response') {
    throw fault('MalformedStreamingHandler', 'Only response streaming is supported.');
  }
  return true;
}

// sendable gives what a stream can take of anything that can be written as JSON.
function sendable(chunk) {
  return typeof chunk === 'string' || chunk instanceof Uint8Array ? chunk : JSON.stringify(chunk);
}

// ResponseStream is what a streaming handler writes its answer to. Its request to
// the Runtime API begins with the first byte, so that a function that fails before
// has an ordinary error.
class ResponseStream extends Writable {
  constructor(answer, options) {
    super(options);
    this._answer = answer;
    this._contentType = 'application/octet-stream';
    this._begun = false;
    this._ended = false; // whole, or broken off
  }

  setContentType(type) {
    if (this._begun) {
      throw fault('InvalidStreamingOperation', 'Cannot set content-type, too late.');
    }
    this._contentType = type;
  }

  write(chunk, ...rest) {
    return super.write(chunk === null || chunk === undefined ? chunk : sendable(chunk), ...rest);
  }

  end(chunk, ...rest) {
    const none = chunk === null || chunk === undefined || typeof chunk === 'function';
    return super.end(none ? chunk : sendable(chunk), ...rest);
  }

  // _begin opens the request and gives what has to come before anything else.
  _begin() {
    if (this._begun) {
      return [];
    }
    this._begun = true;
    this._answer.begin(this._contentType);
    const before = [];
    if (typeof this._onBeforeFirstWrite === 'function') {
      this._onBeforeFirstWrite((chunk) => before.push(Buffer.from(sendable(chunk))));
    }
    return before;
  }

  _write(chunk, encoding, done) {
    this._send([chunk], done);
  }

  _writev(chunks, done) {
    this._send(chunks.map((entry) => entry.chunk), done);
  }

  _send(chunks, done) {
    if (this._ended) {
      done();
      return;
    }
    this._answer.chunk(this._begin().concat(chunks), done);
  }

  _final(done) {
    if (this._ended) {
      done();
      return;
    }
    const before = this._begin();
    if (before.length > 0) {
      this._answer.chunk(before, () => {});
    }
    this._ended = true;
    this._answer.end();
    done();
  }

  // _breakOff ends an answer that has begun with an error. It reports whether there
  // was one to end.
  _breakOff(error, answered) {
    if (!this._begun || this._ended) {
      return false;
    }
    this._ended = true;
    this._answer.breakOff(error, answered);
    return true;
  }
}

// HttpResponseStream puts status, headers and cookies of an HTTP answer in front of
// a streamed body: JSON, and eight zero bytes behind it.
class HttpResponseStream {
  static from(stream, prelude) {
    stream.setContentType(HTTP_TYPE);
    const text = JSON.stringify(prelude);
    stream._onBeforeFirstWrite = (write) => {
      write(text);
      write(Buffer.alloc(8));
    };
    return stream;
  }
}

// streamifyResponse marks a handler as one that streams its answer.
function streamifyResponse(handler, options) {
  handler[STREAMING] = 'response';
  if (options && options.highWaterMark !== undefined) {
    handler[HIGH_WATER_MARK] = parseInt(options.highWaterMark, 10);
  }
  return handler;
}

// newStream makes the stream of one invocation of a handler.
function newStream(handler, answer) {
  const highWaterMark = handler[HIGH_WATER_MARK];
  return new ResponseStream(answer, highWaterMark > 0 ? { highWaterMark } : {});
}

// provide lets functions find awslambda, beside what they may have there already.
function provide() {
  global.awslambda = Object.assign({}, global.awslambda, { streamifyResponse, HttpResponseStream });
}

module.exports = { provide, isStreaming, newStream };
