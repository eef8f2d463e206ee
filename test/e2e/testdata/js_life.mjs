// AWS SDK for JavaScript v3 with only an endpoint set: its default retries, waiters and
// paginators. Arguments: a folder that has the SDK, a runtime of Node.js, a package.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import assert from "node:assert/strict";

const [sdk, runtime, file] = process.argv.slice(2);
const {
  LambdaClient, CreateFunctionCommand, DeleteFunctionCommand, GetFunctionCommand, InvokeCommand, PublishVersionCommand,
  UpdateFunctionConfigurationCommand, ResourceConflictException, ResourceNotFoundException, InvalidRequestContentException,
  paginateListFunctions, paginateListVersionsByFunction, waitUntilFunctionActiveV2, waitUntilFunctionUpdatedV2,
} = createRequire(sdk + "/")("@aws-sdk/client-lambda");

const client = new LambdaClient({});
const code = { ZipFile: await readFile(file) };
const wait = { client, maxWaitTime: 60 };
const names = ["js-a", "js-b", "js-c", "js-d", "js-e"];

async function call(name, event, more = {}) {
  const out = await client.send(new InvokeCommand({ FunctionName: name, Payload: JSON.stringify(event), ...more }));
  assert.equal(out.StatusCode, 200);
  return { ...out, answer: JSON.parse(out.Payload.transformToString()) };
}

async function fails(command, kind) {
  await assert.rejects(client.send(command), (e) => e instanceof kind && e.$metadata.requestId.length === 36 && e.message.length > 0);
}

for (const FunctionName of names) {
  const made = await client.send(new CreateFunctionCommand({
    FunctionName, Runtime: runtime, Handler: "index.handler", Role: "arn:aws:iam::111111111111:role/any", Code: code,
    Environment: { Variables: { COLOUR: "grün" } }, Tags: { team: "a" },
  }));
  assert.equal(made.State, "Pending");
  await waitUntilFunctionActiveV2(wait, { FunctionName });
}

const good = await call("js-a", { a: "ü" }, { LogType: "Tail" });
assert.deepEqual(good.answer, [{ a: "ü" }, "grün"]);
assert.equal(good.FunctionError, undefined);
assert.equal(good.ExecutedVersion, "$LATEST");
assert.match(Buffer.from(good.LogResult, "base64").toString(), /REPORT RequestId: /);

const bad = await call("js-a", { fail: true });
assert.equal(bad.FunctionError, "Unhandled");
assert.equal(bad.answer.errorType, "TypeError");
assert.equal(bad.answer.errorMessage, "on purpose");

await fails(new InvokeCommand({ FunctionName: "js-absent" }), ResourceNotFoundException);
await fails(new InvokeCommand({ FunctionName: "js-a", Payload: "{not json" }), InvalidRequestContentException);
await fails(new CreateFunctionCommand({ FunctionName: "js-a", Runtime: runtime, Handler: "a.b", Role: "arn:aws:iam::111111111111:role/any", Code: code }), ResourceConflictException);

await client.send(new UpdateFunctionConfigurationCommand({ FunctionName: "js-a", Environment: { Variables: { COLOUR: "rot" } } }));
await waitUntilFunctionUpdatedV2(wait, { FunctionName: "js-a" });
assert.deepEqual((await call("js-a", {})).answer, [{}, "rot"]);
assert.equal((await client.send(new PublishVersionCommand({ FunctionName: "js-a" }))).Version, "1");
assert.equal((await call("js-a", {}, { Qualifier: "1" })).ExecutedVersion, "1");
assert.deepEqual((await client.send(new GetFunctionCommand({ FunctionName: "js-a" }))).Tags, { team: "a" });

// In pages of two the list is whole, in order and without repetition.
const pages = [];
for await (const page of paginateListFunctions({ client, pageSize: 2 }, {})) pages.push(page.Functions.map((f) => f.FunctionName));
assert.deepEqual(pages.flat(), names);
assert.ok(pages.length >= 3 && pages.every((p) => p.length <= 2), JSON.stringify(pages));
const versions = [];
for await (const page of paginateListVersionsByFunction({ client, pageSize: 1 }, { FunctionName: "js-a" })) versions.push(...page.Versions.map((v) => v.Version));
assert.deepEqual(versions, ["$LATEST", "1"]);

for (const FunctionName of names) await client.send(new DeleteFunctionCommand({ FunctionName }));
await fails(new GetFunctionCommand({ FunctionName: "js-a" }), ResourceNotFoundException);
