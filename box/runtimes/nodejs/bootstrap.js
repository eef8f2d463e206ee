'use strict';

// The Runtime API client of kiln for Node.js 10 and later: loads the handler, asks
// for invocations, calls the handler and posts what came of it. It uses nothing but
// what Node brings, and no syntax that Node 10 does not know.

const { RuntimeAPI, headerSafe } = require('./kiln/wire');
const { patchConsole, setRequestID, describe, logError, fault } = require('./kiln/log');
const { load } = require('./kiln/load');
const { provide, isStreaming, newStream } = require('./kiln/stream');

const PROMISES_ONLY = parseInt(process.versions.node, 10) >= 24;

patchConsole();
provide();

const api = new RuntimeAPI(process.env.AWS_LAMBDA_RUNTIME_API);
api.rest();
let handler = null;
let isAsync = false;

// The invocation under way; null during init and between invocations.
let current = null;
let dying = false;
// What to do when the event loop has nothing left. While loading that is a module
// that waits for what never comes; the exit code is Node's own for it.
let whenEmpty = () => {
  process.stderr.write('Warning: Detected unsettled top-level await\n');
  die(13);
};

process.on('beforeExit', () => whenEmpty());

function die(code) {
  process.exit(code);
}

// fail reports an error that nobody caught and ends the process: an exception
// leaves the function in no state to go on.
function fail(title, error, code) {
  logError(title, error);
  if (dying) {
    return;
  }
  dying = true;
  const path = handler === null ? '/init/error' : current && `/invocation/${current.id}/error`;
  if (!path) {
    die(code);
    return;
  }
  const posted = describe(error);
  api.lost = () => die(code);
  if (current && current.stream && current.stream._begun) {
    if (!current.stream._breakOff(posted, () => die(code))) {
      die(code); // the answer was whole
    }
    return;
  }
  api.last(path, JSON.stringify(posted), errorHeaders(posted), () => die(code));
}

process.on('uncaughtException', (error) => fail('Uncaught Exception', error, 129));
process.on('unhandledRejection', (reason, promise) => {
  const error = fault('UnhandledPromiseRejection', String(reason), { reason, promise });
  if (reason instanceof Error && typeof reason.stack === 'string') {
    error.stack = error.stack.split('\n    at ')[0] + '\n' + reason.stack.split('\n').slice(1).join('\n');
  }
  fail('Unhandled Promise Rejection', error, 128);
});

function errorHeaders(posted) {
  const headers = {
    'Content-Type': 'application/json',
    'Lambda-Runtime-Function-Error-Type': posted.errorType,
  };
  if (current && current.attempt) {
    headers['Lambda-Runtime-Invocation-Id'] = current.attempt;
  }
  return headers;
}

// stringify gives an answer as JSON; undefined is null.
function stringify(value) {
  try {
    const text = JSON.stringify(value === undefined ? null : value);
    return text === undefined ? 'null' : text;
  } catch (_) {
    throw new Error('Unable to stringify response body');
  }
}

// finish posts the outcome of an invocation, once.
function finish(invocation, failed, value) {
  if (invocation.done || dying) {
    return;
  }
  invocation.done = true;
  whenEmpty = () => {};
  let kind = 'response';
  let body;
  let headers = { 'Content-Type': 'application/json' };
  if (!failed) {
    try {
      body = stringify(value);
    } catch (error) {
      failed = true;
      value = error;
    }
  }
  if (failed) {
    kind = 'error';
    logError('Invoke Error', value);
    const posted = describe(value);
    body = JSON.stringify(posted);
    headers = errorHeaders(posted);
  } else if (invocation.attempt) {
    headers['Lambda-Runtime-Invocation-Id'] = invocation.attempt;
  }
  current = null;
  api.post(`/invocation/${invocation.id}/${kind}`, body, headers, invoke);
}

// streamAnswer is the request that carries a streamed answer.
function streamAnswer(invocation) {
  let told = () => {};
  return {
    begin: (type) => {
      const headers = {
        'Content-Type': type,
        'Lambda-Runtime-Function-Response-Mode': 'streaming',
        Trailer: 'Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body',
      };
      if (invocation.attempt) {
        headers['Lambda-Runtime-Invocation-Id'] = invocation.attempt;
      }
      api.begin(`/invocation/${invocation.id}/response`, headers, () => told());
    },
    chunk: (buffers, done) => api.chunk(buffers, done),
    end: () => api.end({}),
    breakOff: (error, answered) => {
      if (answered) {
        told = answered;
        api.socket.ref();
      }
      api.end({
        'Lambda-Runtime-Function-Error-Type': headerSafe(error.errorType),
        'Lambda-Runtime-Function-Error-Body': Buffer.from(JSON.stringify(error)).toString('base64'),
      });
    },
  };
}

// stream runs one invocation of a handler that streams its answer. It is over when
// the answer is and, before Node 24, the handler's promise and the event loop, too.
function stream(invocation, event, context) {
  const output = newStream(handler, streamAnswer(invocation));
  invocation.stream = output;
  let waits = !PROMISES_ONLY;
  let settled = false;
  let whole = false;
  const next = () => {
    whenEmpty = () => {};
    current = null;
    api.next(invoke);
  };
  const broken = (error) => {
    if (!output._begun) {
      finish(invocation, true, error);
      return;
    }
    if (invocation.done || dying) {
      return;
    }
    invocation.done = true;
    logError('Invoke Error', error);
    output._breakOff(describe(error));
    next();
  };
  const progress = () => {
    if (invocation.done || !whole || !(settled || PROMISES_ONLY)) {
      return;
    }
    invocation.done = true;
    if (waits) {
      whenEmpty = () => setImmediate(next);
    } else {
      next();
    }
  };
  const unfinished = () => broken(new Error('Response stream is not finished.'));
  output.on('finish', () => {
    whole = true;
    progress();
  });
  output.on('close', () => {
    if (!whole && settled) {
      unfinished();
    }
  });
  whenEmpty = () => (settled || whole ? unfinished() : broken(unsettled()));
  if (!PROMISES_ONLY) {
    Object.defineProperty(context, 'callbackWaitsForEmptyEventLoop', {
      get: () => waits,
      set: (value) => {
        waits = value;
      },
      enumerable: true,
      configurable: true,
    });
  }
  const result = handler(event, output, context);
  if (!result || typeof result.then !== 'function') {
    broken(new Error('Streaming does not support non-async handlers.'));
    return;
  }
  result.then(
    (value) => {
      settled = true;
      if (value !== undefined) {
        console.warn('Streaming handlers ignore return values.');
      }
      if (output.destroyed && !whole && !output._ended) {
        unfinished();
      }
      progress();
    },
    (error) => {
      if (whole && !invocation.done) {
        invocation.done = true; // too late for the caller
        logError('Invoke Error', error);
        next();
      } else {
        broken(error);
      }
    },
  );
}

// unsettled is the error of a handler whose promise waits for what never comes.
function unsettled() {
  return fault(
    'NodeJsExit',
    'The Lambda runtime client detected an unexpected Node.js exit code. This is most commonly caused by a Promise that was never settled. For more information, see https://nodejs.org/docs/latest/api/process.html#exit-codes',
  );
}

function parseHeader(text, name) {
  if (text === undefined) {
    return undefined;
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`Cannot parse ${name} as json: ${error.toString()}`);
  }
}

// newContext gives what a handler gets as its second argument.
function newContext(headers) {
  const env = process.env;
  const deadline = parseInt(headers['lambda-runtime-deadline-ms'], 10);
  return {
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: parseHeader(headers['lambda-runtime-client-context'], 'ClientContext'),
    identity: parseHeader(headers['lambda-runtime-cognito-identity'], 'CognitoIdentity'),
    invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
    awsRequestId: headers['lambda-runtime-aws-request-id'],
    tenantId: headers['lambda-runtime-aws-tenant-id'],
    getRemainingTimeInMillis: () => deadline - Date.now(),
  };
}

// callbacks gives the old programming model: a callback whose answer waits for an
// empty event loop unless the function says otherwise, and context.done and its
// kin, which do not wait. Only the first call of any counts.
function callbacks(invocation, context) {
  let waits = true;
  const once = (act) => (...args) => {
    if (!invocation.called) {
      invocation.called = true;
      act(...args);
    }
  };
  const isGiven = (error) => error !== undefined && error !== null;
  const done = once((error, value) => {
    finish(invocation, isGiven(error), isGiven(error) ? error : value);
  });
  Object.defineProperty(context, 'callbackWaitsForEmptyEventLoop', {
    get: () => waits,
    set: (value) => {
      waits = value;
    },
    enumerable: true,
    configurable: true,
  });
  context.succeed = (value) => done(null, value);
  context.fail = (error) => done(isGiven(error) ? error : 'handled');
  context.done = done;
  return once((error, value) => {
    if (isGiven(error) || !waits) {
      finish(invocation, isGiven(error), isGiven(error) ? error : value);
    } else {
      whenEmpty = () => setImmediate(() => finish(invocation, false, value));
    }
  });
}

// invoke runs one invocation.
function invoke(answer) {
  if (answer.status !== 200) {
    process.stderr.write(`the Runtime API answered ${answer.status}\n`);
    die(1);
    return;
  }
  const headers = answer.headers;
  const invocation = {
    id: headers['lambda-runtime-aws-request-id'],
    attempt: headers['lambda-runtime-invocation-id'],
    called: false,
    done: false,
  };
  current = invocation;
  api.rest();
  setRequestID(invocation.id, headers['lambda-runtime-aws-tenant-id']);
  if (headers['lambda-runtime-trace-id']) {
    process.env._X_AMZN_TRACE_ID = headers['lambda-runtime-trace-id'];
  } else {
    delete process.env._X_AMZN_TRACE_ID;
  }
  whenEmpty = () => {
    if (isAsync || PROMISES_ONLY) {
      finish(invocation, true, unsettled());
    } else {
      finish(invocation, false, null);
    }
  };
  try {
    const event = JSON.parse(answer.body);
    const context = newContext(headers);
    if (isStreaming(handler)) {
      stream(invocation, event, context);
      return;
    }
    if (PROMISES_ONLY) {
      const result = handler(event, context);
      if (result && typeof result.then === 'function') {
        result.then(
          (value) => finish(invocation, false, value),
          (error) => finish(invocation, true, error),
        );
      } else {
        finish(invocation, false, result);
      }
      return;
    }
    const callback = callbacks(invocation, context);
    const result = handler(event, context, callback);
    if (result && typeof result.then === 'function') {
      result.then(context.succeed, context.fail);
    }
  } catch (error) {
    invocation.called = true;
    finish(invocation, true, error);
  }
}

load(process.env.LAMBDA_TASK_ROOT || process.cwd(), process.env._HANDLER || '').then(
  (found) => {
    handler = found;
    isAsync = found.constructor && found.constructor.name === 'AsyncFunction';
    api.next(invoke);
  },
  (error) => fail('Uncaught Exception', error, 129),
);
