'use strict';

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Streams what the event asks for.
exports.stream = awslambda.streamifyResponse(async (event, out, context) => {
  switch (event.mode) {
    case 'slow':
      out.write('one ');
      await wait(2000);
      out.write(String(Date.now()));
      break;
    case 'fail':
      out.write('part');
      await wait(20);
      throw new RangeError('too far');
    case 'fail-at-once':
      throw new RangeError('too far');
    case 'hang':
      out.write('part');
      await wait(60000);
      break;
    case 'exit':
      out.write('part');
      await wait(100);
      process.exit(3);
      break;
    case 'large': {
      const piece = Buffer.alloc(1 << 16, 'x');
      for (let left = event.bytes; left > 0; left -= piece.length) {
        if (!out.write(left < piece.length ? piece.slice(0, left) : piece)) {
          await new Promise((resolve) => out.once('drain', resolve));
        }
      }
      break;
    }
    default:
      out.write(`hello ${context.awsRequestId}`);
  }
  out.end();
});

// The same behind a URL, with a head of HTTP.
exports.web = awslambda.streamifyResponse(async (event, out) => {
  if (event.rawPath === '/fail') {
    out = awslambda.HttpResponseStream.from(out, { statusCode: 200 });
    out.write('part');
    await wait(50);
    throw new Error('late');
  }
  out = awslambda.HttpResponseStream.from(out, {
    statusCode: 201,
    headers: { 'content-type': 'text/event-stream', 'x-path': event.rawPath },
    cookies: ['a=1', 'b=2'],
  });
  out.write('first ');
  await wait(20);
  out.end('last');
});

// An ordinary function behind a URL: it answers with what it was sent.
exports.echo = async (event) => {
  if (event.fetch) { // called as a function: it calls a URL from inside
    return new Promise((resolve, reject) => {
      const get = require('http').get(process.env.AWS_ENDPOINT_URL + event.fetch, (answer) => {
        let body = '';
        answer.on('data', (piece) => {
          body += piece;
        });
        answer.on('end', () => resolve({ status: answer.statusCode, body }));
      });
      get.on('error', reject);
    });
  }
  switch (event.rawPath) {
    case '/binary':
      return { statusCode: 200, headers: { 'content-type': 'image/png' }, body: event.body, isBase64Encoded: event.isBase64Encoded };
    case '/throw':
      throw new Error('secret');
    case '/json':
      return { plain: true };
  }
  return { statusCode: 200, headers: { 'content-type': 'application/json' }, cookies: ['c=d'], body: JSON.stringify(event) };
};
