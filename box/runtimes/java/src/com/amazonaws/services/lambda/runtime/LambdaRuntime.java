package com.amazonaws.services.lambda.runtime;

import com.amazonaws.services.lambda.runtime.logging.LogLevel;

/** Gives the logger to code that has no context at hand, such as log appenders. */
public final class LambdaRuntime {
    private static volatile LambdaLogger logger = new Printer();

    private LambdaRuntime() {}

    public static LambdaLogger getLogger() {
        return logger;
    }

    /** The logger of a program that runs without a Lambda runtime. */
    private static final class Printer implements LambdaLogger {
        @Override
        public void log(String message) {
            System.out.println(message);
        }

        @Override
        public void log(byte[] message) {
            System.out.write(message, 0, message.length);
        }

        @Override
        public void log(String message, LogLevel logLevel) {
            log(message);
        }
    }
}
