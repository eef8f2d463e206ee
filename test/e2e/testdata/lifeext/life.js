// An extension that says what it hears and, once in the life of its environment, does
// what PLOT says.
const fs = require('fs');
const http = require('http');
const path = require('path');

const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(':');
const name = path.basename(__filename);

function call(method, place, headers, body) {
  return new Promise((resolve, reject) => {
    const request = http.request({ host, port, method, path: '/2020-01-01/extension/' + place, headers }, (answer) => {
      let text = '';
      answer.on('data', (piece) => (text += piece));
      answer.on('end', () => (answer.statusCode < 300 ? resolve({ headers: answer.headers, text }) : reject(new Error(text))));
    });
    request.on('error', reject);
    request.end(body);
  });
}

function plot(act) {
  if (process.env.PLOT !== act) return false;
  try {
    fs.closeSync(fs.openSync('/tmp/done', 'wx'));
  } catch {
    return false;
  }
  return true;
}

async function main() {
  if (plot('die before register')) process.exit(3);
  const answer = await call('POST', 'register', { 'Lambda-Extension-Name': name }, JSON.stringify({ events: ['INVOKE', 'SHUTDOWN'] }));
  const me = { 'Lambda-Extension-Identifier': answer.headers['lambda-extension-identifier'] };
  const fail = async (place) => {
    await call('POST', place, { ...me, 'Lambda-Extension-Function-Error-Type': 'Plot.Twist' }, '{}');
    process.exit(1);
  };
  if (plot('init/error')) await fail('init/error');
  for (;;) {
    const event = JSON.parse((await call('GET', 'event/next', me)).text);
    console.log([name, 'hears', event.eventType, event.shutdownReason].filter(Boolean).join(' '));
    if (event.eventType === 'SHUTDOWN') process.exit(0);
    if (plot('die in invoke')) process.exit(4);
    if (plot('exit/error')) await fail('exit/error');
    if (plot('never next')) await new Promise((resolve) => setTimeout(resolve, 3600e3));
  }
}

main().catch((e) => {
  console.error(e);
  process.exit(99);
});
