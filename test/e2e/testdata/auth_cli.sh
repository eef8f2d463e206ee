# The aws command as a user who assumes a role.
set -euo pipefail
export PATH="$PWD/../../.cache/venv/bin:$PATH"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
account=111111111111
[ "$(aws sts get-caller-identity --query Arn --output text)" = "arn:aws:iam::$account:root" ]
cat >"$dir/trust.json" <<END
{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::$account:user/cli"}, "Action": "sts:AssumeRole"}]}
END
aws iam create-role --role-name lists --assume-role-policy-document "file://$dir/trust.json" --query Role.Arn --output text | grep -qx "arn:aws:iam::$account:role/lists"
aws iam put-role-policy --role-name lists --policy-name list --policy-document \
	'{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "lambda:ListFunctions", "Resource": "*"}]}'
eval "$("$KILN" user create cli | sed 's/^/export /')"
if aws lambda list-functions 2>"$dir/error"; then exit 1; fi
grep -q "not authorized to perform: lambda:ListFunctions" "$dir/error"
read -r id secret token <<<"$(aws sts assume-role --role-arn "arn:aws:iam::$account:role/lists" --role-session-name me --query 'Credentials.[AccessKeyId,SecretAccessKey,SessionToken]' --output text)"
export AWS_ACCESS_KEY_ID=$id AWS_SECRET_ACCESS_KEY=$secret AWS_SESSION_TOKEN=$token
[ "$(aws sts get-caller-identity --query Arn --output text)" = "arn:aws:sts::$account:assumed-role/lists/me" ]
aws lambda list-functions --query 'length(Functions)' --output text >"$dir/out"
if aws lambda list-layers 2>"$dir/error"; then exit 1; fi
grep -q "arn:aws:sts::$account:assumed-role/lists/me is not authorized to perform: lambda:ListLayers" "$dir/error"
