# The program that a Python environment starts. It stays this small because a
# script is compiled at every start; the module it loads is compiled once.
import sys

import _kiln_lambda

_kiln_lambda.main(sys.argv)
