package catalog

import (
	"context"

	"kiln"
)

// SetReserved reserves a part of the account's concurrency for a function; nil
// takes the reservation away. What is left for the other functions never falls
// below the minimum.
func (c *Catalog) SetReserved(ctx context.Context, id kiln.FunctionID, n *int) error {
	// two functions of a scope must not reserve the same rest
	together, err := c.turns.take(ctx, kiln.FunctionID{Scope: id.Scope})
	if err != nil {
		return err
	}
	defer together()
	p, handOn, err := c.begin(ctx, id, "")
	if err != nil {
		return err
	}
	defer handOn()
	fn := *p.fn
	fn.Reserved = nil
	if n != nil {
		if *n < 0 {
			return kiln.Errorf(kiln.Invalid, "ReservedConcurrentExecutions must not be negative.")
		}
		account := int64(c.o.AccountConcurrency)
		least := min(account, kiln.MinUnreservedConcurrency)
		if total := p.provisioned(); *n < total {
			return kiln.Errorf(kiln.Invalid, " ReservedConcurrentExecutions  %d should not be lower than function's total provisioned concurrency [%d].", *n, total)
		}
		others := c.book.reserved(id.Scope) - p.held()
		if int64(*n) > account || account-others-int64(*n) < least {
			return kiln.Errorf(kiln.Invalid, "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [%d].", least)
		}
		value := *n
		fn.Reserved = &value
	}
	d := revise(p)
	d.next.fn = &fn
	d.putFunction()
	return c.commit(ctx, id, d)
}

// Reserved gives what the functions of a scope have for themselves: their reserved
// concurrency, or else what is provisioned for them.
func (c *Catalog) Reserved(in kiln.Scope) int { return int(c.book.reserved(in)) }
