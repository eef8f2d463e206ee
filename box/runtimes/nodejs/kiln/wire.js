'use strict';

// The Runtime API over one raw connection. A request never waits for the answer
// to the one before it: an outcome and the question for the next invocation leave
// in one write. It never interprets what it carries.

const net = require('net');

const ROOT = '/2018-06-01/runtime';
const HEAD_END = Buffer.from('\r\n\r\n');

// Reader cuts a stream of bytes into HTTP answers.
class Reader {
  constructor(take) {
    this.take = take; // called with each answer: {status, headers, body}
    this.pending = [];
    this.size = 0;
    this.answer = null; // head read, body incomplete
  }

  push(chunk) {
    this.pending.push(chunk);
    this.size += chunk.length;
    while (this.advance());
  }

  // joined gives everything that is waiting as one buffer.
  joined() {
    if (this.pending.length > 1) {
      this.pending = [Buffer.concat(this.pending, this.size)];
    }
    return this.pending[0];
  }

  // keep drops the first bytes of what is waiting.
  keep(data, from) {
    this.pending = from < data.length ? [data.slice(from)] : [];
    this.size = data.length - from;
  }

  // advance reads one step on; false when it needs more bytes.
  advance() {
    if (this.size === 0) {
      return false;
    }
    if (this.answer === null) {
      const data = this.joined();
      const at = data.indexOf(HEAD_END);
      if (at < 0) {
        return false;
      }
      this.keep(data, at + HEAD_END.length);
      const answer = parseHead(data.toString('utf8', 0, at));
      if (answer.status < 200) {
        return true;
      }
      this.answer = answer;
    }
    const body = this.answer.chunked ? this.chunks() : this.counted();
    if (body === null) {
      return false;
    }
    const answer = this.answer;
    answer.body = body;
    this.answer = null;
    this.take(answer);
    return true;
  }

  counted() {
    const length = this.answer.length;
    if (length === 0) {
      return '';
    }
    if (this.size < length) {
      return null;
    }
    const data = this.joined();
    this.keep(data, length);
    return data.toString('utf8', 0, length);
  }

  // chunks reads a body in chunks, from its beginning each time: no Runtime API
  // that kiln runs sends one, but the protocol allows it.
  chunks() {
    if (this.size === 0) {
      return null;
    }
    const data = this.joined();
    const pieces = [];
    let at = 0;
    for (;;) {
      const end = data.indexOf('\r\n', at);
      if (end < 0) {
        return null;
      }
      const size = parseInt(data.toString('latin1', at, end), 16);
      at = end + 2;
      if (size === 0) {
        break;
      }
      if (data.length < at + size + 2) {
        return null;
      }
      pieces.push(data.slice(at, at + size));
      at += size + 2;
    }
    for (;;) {
      const end = data.indexOf('\r\n', at);
      if (end < 0) {
        return null;
      }
      const trailer = end - at;
      at = end + 2;
      if (trailer === 0) {
        break;
      }
    }
    this.keep(data, at);
    return Buffer.concat(pieces).toString('utf8');
  }
}

// parseHead reads status line and headers; names become lower case.
function parseHead(text) {
  const lines = text.split('\r\n');
  const headers = Object.create(null);
  for (let i = 1; i < lines.length; i++) {
    const colon = lines[i].indexOf(':');
    headers[lines[i].slice(0, colon).toLowerCase()] = lines[i].slice(colon + 1).trim();
  }
  return {
    status: parseInt(lines[0].split(' ')[1], 10),
    headers,
    length: parseInt(headers['content-length'] || '0', 10),
    chunked: /chunked/i.test(headers['transfer-encoding'] || ''),
    body: '',
  };
}

// RuntimeAPI is the connection. While no question is open it does not keep the
// event loop alive, so that "the loop is empty" means the function's own work.
class RuntimeAPI {
  constructor(address) {
    const colon = address.lastIndexOf(':');
    this.host = address;
    this.waiting = []; // one taker for each answer that is owed, in order
    this.lost = () => process.exit(1);
    const reader = new Reader((answer) => this.waiting.shift()(answer));
    this.socket = net.connect(
      parseInt(address.slice(colon + 1), 10),
      address.slice(0, colon).replace(/^\[|\]$/g, ''),
    );
    this.socket.setNoDelay(true);
    this.socket.on('data', (chunk) => reader.push(chunk));
    this.socket.on('error', () => this.lost());
    this.socket.on('close', () => this.lost());
    this.ask = `GET ${ROOT}/invocation/next HTTP/1.1\r\nHost: ${address}\r\n\r\n`;
  }

  request(path, body, headers) {
    let head = `POST ${ROOT}${path} HTTP/1.1\r\nHost: ${this.host}\r\n`;
    for (const name in headers) {
      head += `${name}: ${headerSafe(headers[name])}\r\n`;
    }
    return `${head}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
  }

  // next asks for work; take gets the answer.
  next(take) {
    this.waiting.push(take);
    this.socket.ref();
    this.socket.write(this.ask);
  }

  // post sends an outcome and asks for the next work in the same write. The API's
  // word on the outcome changes nothing here: what it refused it has made into an
  // error for the caller.
  post(path, body, headers, take) {
    this.waiting.push(() => {}, take);
    this.socket.ref();
    this.socket.write(this.request(path, body, headers) + this.ask);
  }

  // begin opens a request whose body comes in chunks.
  begin(path, headers, answered) {
    this.waiting.push(answered);
    let head = `POST ${ROOT}${path} HTTP/1.1\r\nHost: ${this.host}\r\nTransfer-Encoding: chunked\r\n`;
    for (const name in headers) {
      head += `${name}: ${headerSafe(headers[name])}\r\n`;
    }
    this.socket.write(`${head}\r\n`);
  }

  // chunk sends buffers as one chunk of that body; done is called when the system has
  // taken them.
  chunk(buffers, done) {
    const size = buffers.reduce((sum, buffer) => sum + buffer.length, 0);
    if (size === 0) {
      process.nextTick(done);
      return;
    }
    this.socket.cork();
    this.socket.write(`${size.toString(16)}\r\n`);
    buffers.forEach((buffer) => this.socket.write(buffer));
    this.socket.write('\r\n', done);
    this.socket.uncork();
  }

  // end closes that body; an error goes into its trailers.
  end(trailers) {
    let text = '0\r\n';
    for (const name in trailers) {
      text += `${name}: ${trailers[name]}\r\n`;
    }
    this.socket.write(`${text}\r\n`);
  }

  // last sends something and calls done when it was answered.
  last(path, body, headers, done) {
    this.waiting.push(done);
    this.socket.ref();
    this.socket.write(this.request(path, body, headers));
  }

  // rest lets the event loop end while the function works.
  rest() {
    this.socket.unref();
  }
}

function headerSafe(value) {
  return String(value).slice(0, 256).replace(/[^\x20-\x7e]/g, '?');
}

module.exports = { RuntimeAPI, Reader, headerSafe };
