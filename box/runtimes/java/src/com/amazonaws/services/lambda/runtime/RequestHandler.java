package com.amazonaws.services.lambda.runtime;

/** A handler whose event and answer are objects. */
public interface RequestHandler<I, O> {
    O handleRequest(I input, Context context);
}
