// A function in Node.js (an ES module): the same file runs on AWS Lambda.
export const handler = async (event, context) => {
  const name = event.name ?? "world";
  console.log(`greeting ${name}`);
  return {
    message: `Hello, ${name}!`,
    requestId: context.awsRequestId,
    node: process.version,
  };
};
