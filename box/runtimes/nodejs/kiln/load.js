'use strict';

// Finds the function that a handler's name stands for. Files are tried in AWS's
// order; what cannot be loaded becomes one of AWS's errors.

const fs = require('fs');
const path = require('path');
const url = require('url');
const { fault } = require('./log');
const { isStreaming } = require('./stream');

const major = parseInt(process.versions.node, 10);

// importFile loads an ES module. Node 10 parses the word and refuses to do it.
function importFile(file) {
  return import(url.pathToFileURL(file).href);
}

// isModuleFolder reports whether .js files in folder are ES modules: the nearest
// package.json decides, and the search ends at a node_modules folder.
function isModuleFolder(folder) {
  for (;;) {
    if (folder.endsWith('/node_modules')) {
      return false;
    }
    const file = path.join(folder, 'package.json');
    if (fs.existsSync(file)) {
      try {
        return JSON.parse(fs.readFileSync(file, 'utf8')).type === 'module';
      } catch (error) {
        console.warn(`${file} cannot be read, it will be ignored for ES module detection purposes.`, error);
        return false;
      }
    }
    if (folder === '/') {
      return false;
    }
    folder = path.dirname(folder);
  }
}

// loadModule gives the exports of the first file that exists.
async function loadModule(root, folder, name) {
  const base = path.resolve(root, folder, name);
  if (fs.existsSync(base)) {
    return require(base);
  }
  const esm = isModuleFolder(path.dirname(base));
  const typed = major >= 24; // Node strips types by itself since then
  const tries = [
    ['.js', esm],
    ['.mjs', true],
    ['.cjs', false],
    ['.ts', esm, typed],
    ['.mts', true, typed],
    ['.cts', false, typed],
  ];
  for (const [extension, asModule, known = true] of tries) {
    if (known && fs.existsSync(base + extension)) {
      return asModule ? importFile(base + extension) : require(base + extension);
    }
  }
  // A package, by name: sought from the function's folder, not from this one.
  return require(require.resolve(name, { paths: [root, path.resolve(root, folder)] }));
}

// load gives the handler, or throws the error that is posted.
async function load(root, handler) {
  if (handler.includes('..')) {
    throw fault(
      'MalformedHandlerName',
      `'${handler}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`,
    );
  }
  const file = path.basename(handler);
  const folder = handler.slice(0, handler.indexOf(file));
  const parts = /^([^.]*)\.(.*)$/.exec(file);
  if (!parts) {
    throw fault('MalformedHandlerName', 'Bad handler');
  }
  let exported;
  try {
    exported = await loadModule(root, folder, parts[1]);
  } catch (error) {
    if (error instanceof SyntaxError) {
      const syntax = fault('UserCodeSyntaxError', String(error));
      syntax.stack = syntax.stack.split('\n')[0] + '\n' + error.stack;
      throw syntax;
    }
    if (error && error.code === 'MODULE_NOT_FOUND') {
      throw fault('ImportModuleError', String(error));
    }
    throw error;
  }
  const found = parts[2].split('.').reduce((from, key) => from && from[key], exported);
  if (!found) {
    throw fault('HandlerNotFound', `${handler} is undefined or not exported`);
  }
  if (typeof found !== 'function') {
    throw fault('HandlerNotFound', `${handler} is not a function`);
  }
  if (!isStreaming(found) && major >= 24 && found.length >= 3) {
    throw fault(
      'CallbackHandlerDeprecated',
      'ERROR: AWS Lambda has removed support for callback-based function handlers starting with Node.js 24. You need to modify this function to use a supported handler signature to use Node.js 24 or later. For more information see https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html.',
    );
  }
  return found;
}

module.exports = { load };
