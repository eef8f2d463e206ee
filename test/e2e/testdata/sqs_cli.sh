# SQS with the aws command, with only an endpoint set, and the older protocol with curl.
set -euo pipefail
export PATH="$PWD/../../.cache/venv/bin:$PATH"
# The command of version 1 reads AWS_ENDPOINT_URL for most services, and not for this one.
aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }
url=$(aws sqs create-queue --queue-name cli --query QueueUrl --output text)
aws sqs send-message --queue-url "$url" --message-body hello >/dev/null
[ "$(aws sqs receive-message --queue-url "$url" --query 'Messages[0].Body' --output text)" = hello ]
if aws sqs get-queue-url --queue-name nobody 2>"$KILN_TEST_SCRATCH/err"; then exit 1; fi
grep -q NonExistentQueue "$KILN_TEST_SCRATCH/err"
query() {
	curl -s --aws-sigv4 aws:amz:eu-west-1:sqs --user 111111111111:secret "$@"
}
query "$url" --data-urlencode Action=SendMessage --data-urlencode 'MessageBody=a <b>' \
	--data-urlencode MessageAttribute.1.Name=k --data-urlencode MessageAttribute.1.Value.DataType=String --data-urlencode MessageAttribute.1.Value.StringValue=v |
	grep -q '<SendMessageResult><MD5OfMessageBody>[0-9a-f]*</MD5OfMessageBody><MD5OfMessageAttributes>'
query "$url" -d 'Action=ReceiveMessage&MessageAttributeName.1=All&AttributeName.1=SentTimestamp&Version=2012-11-05' |
	grep -q '<Body>a &lt;b&gt;</Body><Attribute><Name>SentTimestamp</Name><Value>[0-9]*</Value></Attribute><MD5OfMessageAttributes>[0-9a-f]*</MD5OfMessageAttributes><MessageAttribute><Name>k</Name><Value><DataType>String</DataType><StringValue>v</StringValue></Value></MessageAttribute></Message></ReceiveMessageResult>'
query "$url" -d 'Action=GetQueueAttributes&AttributeName.1=QueueArn' | grep -q '<Attribute><Name>QueueArn</Name><Value>arn:aws:sqs:eu-west-1:111111111111:cli</Value></Attribute>'
query "${url%cli}none" -d 'Action=PurgeQueue' | grep -q '<Error><Type>Sender</Type><Code>AWS.SimpleQueueService.NonExistentQueue</Code>'
query "$url" -d 'Action=DeleteQueue' | grep -q '<DeleteQueueResponse'
