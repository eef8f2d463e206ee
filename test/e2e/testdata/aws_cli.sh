# The aws command with only an endpoint set.
set -euo pipefail
export PATH="$PWD/../../.cache/venv/bin:$PATH"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
printf 'def handler(event, context):\n    print("seen", event)\n    return {"hello": event["name"]}\n' >"$dir/app.py"
(cd "$dir" && python3 -m zipfile -c code.zip app.py)
aws lambda create-function --function-name cli --runtime "$1" --handler app.handler \
	--role arn:aws:iam::111111111111:role/any --zip-file "fileb://$dir/code.zip" >"$dir/created.json"
grep -q '"State": "Pending"' "$dir/created.json"
aws lambda wait function-active-v2 --function-name cli
aws lambda invoke --function-name cli --payload '{"name":"world"}' --log-type Tail "$dir/out.json" >"$dir/answer.json"
[ "$(cat "$dir/out.json")" = '{"hello": "world"}' ]
grep -q '"StatusCode": 200' "$dir/answer.json"
aws lambda list-functions --query 'Functions[].FunctionName' --output text | grep -qx cli
aws lambda delete-function --function-name cli
if aws lambda get-function --function-name cli 2>"$dir/error"; then exit 1; fi
grep -q ResourceNotFoundException "$dir/error"
