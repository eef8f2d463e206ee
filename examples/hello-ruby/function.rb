# A function in Ruby: standard library only, the same file runs on AWS Lambda.
def handler(event:, context:)
  name = event['name'] || 'world'
  puts "greeting #{name}"
  { message: "Hello, #{name}!", requestId: context.aws_request_id, ruby: RUBY_VERSION }
end
