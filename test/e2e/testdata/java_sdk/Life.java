import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.services.lambda.LambdaClient;
import software.amazon.awssdk.services.lambda.model.CreateFunctionRequest;
import software.amazon.awssdk.services.lambda.model.FunctionCode;
import software.amazon.awssdk.services.lambda.model.InvalidRequestContentException;
import software.amazon.awssdk.services.lambda.model.InvokeResponse;
import software.amazon.awssdk.services.lambda.model.LambdaException;
import software.amazon.awssdk.services.lambda.model.ListFunctionsResponse;
import software.amazon.awssdk.services.lambda.model.LogType;
import software.amazon.awssdk.services.lambda.model.ResourceConflictException;
import software.amazon.awssdk.services.lambda.model.ResourceNotFoundException;
import software.amazon.awssdk.services.lambda.model.State;

/**
 * AWS SDK for Java v2 with only an endpoint set: its default retries, waiters and
 * paginators. Arguments: a runtime of Node.js, a package.
 */
public class Life {
    static final List<String> NAMES = List.of("java-a", "java-b", "java-c", "java-d", "java-e");
    static LambdaClient client;

    public static void main(String[] args) throws Exception {
        SdkBytes code = SdkBytes.fromByteArray(Files.readAllBytes(Path.of(args[1])));
        client = LambdaClient.create();
        for (String name : NAMES) {
            same(client.createFunction(creation(name, args[0], code)).state(), State.PENDING);
            client.waiter().waitUntilFunctionActiveV2(r -> r.functionName(name));
        }

        InvokeResponse good = call("java-a", null, "{\"a\":\"\u00fc\"}");
        same(good.payload().asUtf8String(), "[{\"a\":\"\u00fc\"},\"gr\u00fcn\"]");
        same(good.functionError(), null);
        same(good.executedVersion(), "$LATEST");
        String log = new String(Base64.getDecoder().decode(good.logResult()), StandardCharsets.UTF_8);
        check(log.contains("REPORT RequestId: "), log);
        InvokeResponse bad = call("java-a", null, "{\"fail\":true}");
        same(bad.functionError(), "Unhandled");
        check(bad.payload().asUtf8String().contains("\"errorMessage\":\"on purpose\""), bad.payload().asUtf8String());

        fails(ResourceNotFoundException.class, () -> call("java-absent", null, "{}"));
        fails(InvalidRequestContentException.class, () -> call("java-a", null, "{not json"));
        fails(ResourceConflictException.class, () -> client.createFunction(creation("java-a", args[0], code)));

        client.updateFunctionConfiguration(r -> r.functionName("java-a").environment(e -> e.variables(Map.of("COLOUR", "rot"))));
        client.waiter().waitUntilFunctionUpdatedV2(r -> r.functionName("java-a"));
        same(call("java-a", null, "{}").payload().asUtf8String(), "[{},\"rot\"]");
        same(client.publishVersion(r -> r.functionName("java-a")).version(), "1");
        same(call("java-a", "1", "{}").executedVersion(), "1");
        same(client.getFunction(r -> r.functionName("java-a")).tags(), Map.of("team", "a"));

        // In pages of two the list is whole, in order and without repetition.
        List<String> seen = new ArrayList<>();
        int pages = 0;
        for (ListFunctionsResponse page : client.listFunctionsPaginator(r -> r.maxItems(2))) {
            pages++;
            check(page.functions().size() <= 2, "a page of " + page.functions().size());
            page.functions().forEach(f -> seen.add(f.functionName()));
        }
        same(seen, NAMES);
        check(pages >= 3, pages + " pages");
        List<String> versions = new ArrayList<>();
        client.listVersionsByFunctionPaginator(r -> r.functionName("java-a").maxItems(1)).versions().forEach(v -> versions.add(v.version()));
        same(versions, List.of("$LATEST", "1"));

        for (String name : NAMES) {
            client.deleteFunction(r -> r.functionName(name));
        }
        fails(ResourceNotFoundException.class, () -> client.getFunction(r -> r.functionName("java-a")));
    }

    static CreateFunctionRequest creation(String name, String runtime, SdkBytes code) {
        return CreateFunctionRequest.builder()
            .functionName(name)
            .runtime(runtime)
            .handler("index.handler")
            .role("arn:aws:iam::111111111111:role/any")
            .code(FunctionCode.builder().zipFile(code).build())
            .environment(e -> e.variables(Map.of("COLOUR", "gr\u00fcn")))
            .tags(Map.of("team", "a"))
            .build();
    }

    static InvokeResponse call(String name, String qualifier, String event) {
        InvokeResponse out = client.invoke(r -> r.functionName(name).qualifier(qualifier).logType(LogType.TAIL).payload(SdkBytes.fromUtf8String(event)));
        same(out.statusCode(), 200);
        return out;
    }

    static void fails(Class<? extends LambdaException> kind, Runnable step) {
        try {
            step.run();
        } catch (LambdaException e) {
            check(kind.isInstance(e), "got " + e + ", want " + kind);
            check(e.requestId() != null && e.requestId().length() == 36, "request id " + e.requestId());
            return;
        }
        throw new AssertionError("no error, want " + kind);
    }

    static void same(Object got, Object want) {
        check(java.util.Objects.equals(got, want), "got " + got + ", want " + want);
    }

    static void check(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }
}
