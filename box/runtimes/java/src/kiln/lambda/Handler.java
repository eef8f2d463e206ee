package kiln.lambda;

import com.amazonaws.services.lambda.runtime.Context;

/** What an invocation runs: the function's handler behind one signature. */
interface Handler {
    /** Runs the handler on an event and adds its answer, complete, to out. */
    void call(byte[] event, Bytes out, Context context) throws Throwable;
}
