package com.amazonaws.services.lambda.runtime;

/** What a mobile application says of itself in the client context. */
public interface Client {
    String getInstallationId();

    String getAppTitle();

    String getAppVersionName();

    String getAppVersionCode();

    String getAppPackageName();
}
