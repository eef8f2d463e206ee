package com.amazonaws.services.lambda.runtime.logging;

/** The levels of log messages, from the least to the most severe. */
public enum LogLevel {
    UNDEFINED,
    TRACE,
    DEBUG,
    INFO,
    WARN,
    ERROR,
    FATAL;

    /** Gives the level of this name, whatever its case; UNDEFINED for any other name. */
    public static LogLevel fromString(String logLevel) {
        if (logLevel != null) {
            for (LogLevel level : values()) {
                if (level.name().equalsIgnoreCase(logLevel)) {
                    return level;
                }
            }
        }
        return UNDEFINED;
    }
}
