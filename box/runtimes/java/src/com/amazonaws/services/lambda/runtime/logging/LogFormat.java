package com.amazonaws.services.lambda.runtime.logging;

/** The formats of a function's log. */
public enum LogFormat {
    JSON,
    TEXT;

    /** Gives the format of this name, whatever its case; TEXT for any other name. */
    public static LogFormat fromString(String logFormat) {
        return logFormat != null && JSON.name().equalsIgnoreCase(logFormat) ? JSON : TEXT;
    }
}
