'use strict';

// The function's console and the shape of its errors, as AWS's runtime writes
// them. It never writes to the Runtime API.

const fs = require('fs');
const util = require('util');

// Frame types of the telemetry descriptor: text or JSON, with the level in bits 2 to 4.
const FRAME = 0xa55a0003;
const JSON_FRAME = 0xa55a0002;
const LEVELS = {
  TRACE: { rank: 1, bits: 0x04 },
  DEBUG: { rank: 2, bits: 0x08 },
  INFO: { rank: 3, bits: 0x0c },
  WARN: { rank: 4, bits: 0x10 },
  ERROR: { rank: 5, bits: 0x14 },
  FATAL: { rank: 6, bits: 0x18 },
};

// The request's ids are where AWS's runtime keeps them, for libraries that look there.
const REQUEST_ID = Symbol.for('aws.lambda.runtime.requestId');
const TENANT_ID = Symbol.for('aws.lambda.runtime.tenantId');

function setRequestID(id, tenant) {
  global[REQUEST_ID] = id;
  global[TENANT_ID] = tenant;
}

// writeAll writes every byte before it returns. The pipe may be non-blocking when
// the function has used process.stdout, so a full one is waited for.
function writeAll(descriptor, bytes) {
  let at = 0;
  while (at < bytes.length) {
    try {
      at += fs.writeSync(descriptor, bytes, at, bytes.length - at);
    } catch (error) {
      if (error.code !== 'EAGAIN') {
        return; // nobody reads the log any more
      }
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

// AWS has structured logs since Node.js 16.
const STRUCTURED =
  (process.env.AWS_LAMBDA_LOG_FORMAT || '').toUpperCase() === 'JSON' &&
  parseInt(process.versions.node, 10) >= 16;

// toText gives a message as a line of AWS's text format.
function toText(now, level, args) {
  return `${now.toISOString()}\t${global[REQUEST_ID]}\t${level}\t${util.format(...args)}`;
}

// errorsToo shows errors within an object, whose members JSON would leave out.
function errorsToo(key, value) {
  if (!(value instanceof Error)) {
    return value;
  }
  return Object.assign(
    {
      errorType: (value.constructor && value.constructor.name) || 'UnknownError',
      errorMessage: value.message,
      stackTrace: typeof value.stack === 'string' ? value.stack.split('\n') : [],
    },
    value,
  );
}

// toObject gives a message as AWS's object of JSON: one value is the message as it is,
// several are formatted, and the first error among them is described.
function toObject(now, level, args) {
  const entry = { timestamp: now.toISOString(), level, requestId: global[REQUEST_ID] };
  if (global[TENANT_ID]) {
    entry.tenantId = global[TENANT_ID];
  }
  if (args.length === 1) {
    entry.message = args[0];
    try {
      return JSON.stringify(entry, errorsToo);
    } catch (_) {
      entry.message = util.format(args[0]); // it refers to itself, or to what JSON has not
      return JSON.stringify(entry);
    }
  }
  entry.message = util.format(...args);
  const error = args.find((value) => value instanceof Error);
  if (error) {
    const { errorType, errorMessage, stackTrace } = errorsToo('', error);
    Object.assign(entry, { errorType, errorMessage, stackTrace });
  }
  return JSON.stringify(entry);
}

const format = STRUCTURED ? toObject : toText;

// toOutput writes a line to the standard output. Line feeds within a message
// become carriage returns, so that it stays one record.
function toOutput(level, args) {
  writeAll(1, Buffer.from(format(new Date(), level, args).replace(/\n/g, '\r') + '\n'));
}

// toFrames gives the writer to the telemetry descriptor, which keeps the
// boundaries of messages.
function toFrames(descriptor) {
  const kind = STRUCTURED ? JSON_FRAME : FRAME;
  return (level, args) => {
    const now = new Date();
    const message = Buffer.from(format(now, level, args) + '\n');
    const head = Buffer.alloc(16);
    const micros = now.getTime() * 1000;
    head.writeUInt32BE((kind | LEVELS[level].bits) >>> 0, 0);
    head.writeUInt32BE(message.length, 4);
    head.writeUInt32BE(Math.floor(micros / 0x100000000), 8);
    head.writeUInt32BE(micros % 0x100000000, 12);
    writeAll(descriptor, Buffer.concat([head, message]));
  };
}

// patchConsole makes the console write AWS's lines.
function patchConsole() {
  const descriptor = process.env._LAMBDA_TELEMETRY_LOG_FD;
  delete process.env._LAMBDA_TELEMETRY_LOG_FD;
  const write = descriptor ? toFrames(parseInt(descriptor, 10)) : toOutput;
  const wanted = LEVELS[(process.env.AWS_LAMBDA_LOG_LEVEL || '').toUpperCase()] || LEVELS.TRACE;
  const at = (level) =>
    LEVELS[level].rank >= wanted.rank ? (...args) => write(level, args) : () => {};
  console.trace = at('TRACE');
  console.debug = at('DEBUG');
  console.info = at('INFO');
  console.log = console.info;
  console.warn = at('WARN');
  console.error = at('ERROR');
  console.fatal = at('FATAL');
}

// isError also knows errors of another realm.
function isError(value) {
  return (
    util.types.isNativeError(value) ||
    (value &&
      typeof value.name === 'string' &&
      typeof value.message === 'string' &&
      typeof value.stack === 'string' &&
      value.name && value.message && value.stack)
  );
}

const clean = (text) => (typeof text === 'string' ? text.replace(/\x7f/g, '%7F') : text);

// describe gives an error as the object that AWS's runtime posts.
function describe(error) {
  try {
    if (isError(error)) {
      return {
        errorType: clean(error.name),
        errorMessage: clean(error.message),
        trace: clean(error.stack).split('\n'),
      };
    }
    return { errorType: typeof error, errorMessage: error.toString(), trace: [] };
  } catch (_) {
    return {
      errorType: 'handled',
      errorMessage:
        'callback called with Error argument, but there was a problem while retrieving one or more of its message, name, and stack',
    };
  }
}

// whole lists the members of an error that JSON would leave out.
function whole(key, value) {
  if (!(value instanceof Error)) {
    return value;
  }
  const all = Object.assign(
    { errorType: value.name, errorMessage: value.message, code: value.code },
    value,
  );
  if (typeof value.stack === 'string') {
    all.stack = value.stack.split('\n');
  }
  return all;
}

// hint tells how to get the SDK that AWS has in its runtimes, when it is what a
// function misses; the error itself stays AWS's.
function hint(error) {
  const missing = /Cannot find (?:module|package) '(aws-sdk|@aws-sdk\/[^'/]+)/.exec(error.message);
  if (!missing) {
    return;
  }
  const major = parseInt(process.versions.node, 10);
  const isOfRuntime = (missing[1] === 'aws-sdk') === major < 18;
  const isThere = fs.existsSync(`${__dirname}/../node_modules`);
  const advice = isOfRuntime && !isThere ? `\`kiln runtime add nodejs${major}.x-sdk\` adds the AWS SDK, or ` : '';
  process.stderr.write(
    `kiln: ${missing[1]} is not in this runtime: ${advice}put it into the function's package\n`,
  );
}

// logError writes an error with its title, as one line of JSON.
function logError(title, error) {
  const known = error instanceof Error ? error : new Error(error);
  hint(known);
  if (STRUCTURED) {
    console.error(known);
    return;
  }
  let text;
  try {
    text = JSON.stringify(known, whole);
  } catch (_) {
    text = JSON.stringify(describe(known));
  }
  console.error(title, '\t' + text);
}

// fault gives an error of the runtime itself, with the type that AWS gives it.
function fault(kind, message, more) {
  const error = new Error(message);
  error.name = `Runtime.${kind}`;
  Object.defineProperty(error, 'name', { enumerable: false });
  error.stack = error.stack.replace(/^Error/, error.name);
  return Object.assign(error, more);
}

module.exports = { patchConsole, setRequestID, describe, logError, fault };
