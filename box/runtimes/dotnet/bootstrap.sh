#!/bin/sh
# Starts what a .NET handler names: a method of an assembly, ASSEMBLY::TYPE::METHOD,
# through kiln's client of the Runtime API, or an assembly that is a program and has a
# client of its own. The package says by its .deps.json and .runtimeconfig.json which
# libraries and which version belong to it, as on AWS.

runtime=${LAMBDA_RUNTIME_DIR:-/var/runtime}
task=${LAMBDA_TASK_ROOT:-/var/task}
dotnet=${DOTNET_ROOT:-/var/lang/bin}/dotnet

if [ "$1" = --probe ]; then
	exec "$dotnet" exec --runtimeconfig "$runtime/probe.runtimeconfig.json" "$runtime/lib/kiln.dll" --probe
fi

# The collector is told nine tenths of the function's memory, unless the function says
# otherwise: it would see the whole machine's. The client takes the variables back; before
# version 3.0 nothing reads them.
if [ -z "$DOTNET_GCHeapHardLimit$COMPlus_GCHeapHardLimit$DOTNET_GCHeapHardLimitPercent$COMPlus_GCHeapHardLimitPercent" ]; then
	COMPlus_GCHeapHardLimit=$(printf '%x' $((${AWS_LAMBDA_FUNCTION_MEMORY_SIZE:-128} * 943718)))
	DOTNET_GCHeapHardLimit=$COMPlus_GCHeapHardLimit
	KILN_HEAP=1
	export COMPlus_GCHeapHardLimit DOTNET_GCHeapHardLimit KILN_HEAP
fi

fail() {
	echo "Error: $2" >&2
	exit "$1"
}

# one NAME ENDING CODE: the file of that name, or the only one with that ending.
one() {
	if [ -f "$task/$1$2" ]; then
		found=$task/$1$2
		return
	fi
	set -- "$1" "$2" "$3" "$task"/*"$2"
	[ $# = 4 ] && [ -f "$4" ] ||
		fail "$3" ".NET binaries for Lambda function are not correctly installed in the $task directory of the image when the image was built. The $task directory is missing the required $2 file."
	found=$4
}

case $_HANDLER in
'')
	fail 103 "No Lambda Handler function was specified."
	;;
*:*)
	assembly=${LAMBDA_DOTNET_MAIN_ASSEMBLY:-${_HANDLER%%:*}}
	assembly=${assembly%.dll}
	one "$assembly" .deps.json 105
	deps=$found
	one "$assembly" .runtimeconfig.json 106
	exec "$dotnet" exec --depsfile "$deps" --runtimeconfig "$found" "$runtime/lib/kiln.dll"
	;;
*)
	program=$task/${_HANDLER%.dll}
	if [ -f "$program.dll" ]; then
		exec "$dotnet" exec "$program.dll"
	fi
	[ -f "$program" ] || fail 104 "executable assembly $program.dll or binary $program not found."
	exec "$program"
	;;
esac
