// An extension that subscribes to telemetry and keeps what it gets in /tmp/events, one
// event a line. It lets an invocation end when it knows that the runtime is done.
const fs = require('fs');
const http = require('http');
const path = require('path');

const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(':');

function call(method, place, headers, body) {
  return new Promise((resolve, reject) => {
    const request = http.request({ host, port, method, path: place, headers }, (answer) => {
      let text = '';
      answer.on('data', (piece) => (text += piece));
      answer.on('end', () => (answer.statusCode === 200 ? resolve({ headers: answer.headers, text }) : reject(new Error(text))));
    });
    request.on('error', reject);
    request.end(body && JSON.stringify(body));
  });
}

const done = new Set();
let wake = () => {};

const server = http.createServer((request, answer) => {
  let text = '';
  request.on('data', (piece) => (text += piece));
  request.on('end', () => {
    for (const event of JSON.parse(text)) {
      fs.appendFileSync('/tmp/events', JSON.stringify(event) + '\n');
      if (event.type === 'platform.runtimeDone') {
        done.add(event.record.requestId);
      }
    }
    answer.end();
    wake();
  });
});

async function main() {
  fs.appendFileSync('/tmp/events', '');
  await new Promise((resolve) => server.listen(4243, 'sandbox.localdomain', resolve));
  const name = path.basename(process.argv[1]);
  const registered = await call('POST', '/2020-01-01/extension/register', { 'Lambda-Extension-Name': name }, { events: ['INVOKE', 'SHUTDOWN'] });
  const me = { 'Lambda-Extension-Identifier': registered.headers['lambda-extension-identifier'] };
  await call('PUT', '/2022-07-01/telemetry', me, {
    schemaVersion: '2022-07-01',
    types: ['platform', 'function'],
    buffering: { maxItems: 1000, timeoutMs: 100 },
    destination: { protocol: 'HTTP', URI: 'http://sandbox.localdomain:4243/in?a=b', method: 'PUT' },
  });
  for (;;) {
    const event = JSON.parse((await call('GET', '/2020-01-01/extension/event/next', me)).text);
    if (event.eventType === 'SHUTDOWN') {
      process.exit(0);
    }
    while (!done.has(event.requestId)) {
      await new Promise((resolve) => (wake = resolve));
    }
  }
}

main().catch((error) => {
  console.log(error);
  process.exit(1);
});
