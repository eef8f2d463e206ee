# CloudWatch Logs with the aws command, with only an endpoint set.
set -euo pipefail
export PATH="$PWD/../../.cache/venv/bin:$PATH"
aws logs create-log-group --log-group-name /app/cli
aws logs create-log-stream --log-group-name /app/cli --log-stream-name one
aws logs put-log-events --log-group-name /app/cli --log-stream-name one \
	--log-events "timestamp=$(date +%s%3N),message=hello" >/dev/null
[ "$(aws logs filter-log-events --log-group-name /app/cli --filter-pattern hello --query 'events[].message' --output text)" = hello ]
[ "$(aws logs get-log-events --log-group-name /app/cli --log-stream-name one --query 'events[0].message' --output text)" = hello ]
aws logs put-retention-policy --log-group-name /app/cli --retention-in-days 7
[ "$(aws logs describe-log-groups --query 'logGroups[?logGroupName==`/app/cli`].retentionInDays' --output text)" = 7 ]
aws logs delete-log-group --log-group-name /app/cli
if aws logs describe-log-streams --log-group-name /app/cli 2>/tmp/kiln-logs-cli.$$; then exit 1; fi
grep -q ResourceNotFoundException /tmp/kiln-logs-cli.$$
rm -f /tmp/kiln-logs-cli.$$
