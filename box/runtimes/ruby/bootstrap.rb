# The program that a Ruby environment starts.

require_relative '_kiln_lambda'

KilnLambda.main
