import java.util.LinkedHashMap;
import java.util.Map;

/** A function in Java: standard library only, the same class runs on AWS Lambda. */
public class Hello {
    public Map<String, Object> handle(Map<String, Object> event) {
        Object name = event.getOrDefault("name", "world");
        System.out.println("greeting " + name);
        Map<String, Object> answer = new LinkedHashMap<>();
        answer.put("message", "Hello, " + name + "!");
        answer.put("java", System.getProperty("java.version"));
        return answer;
    }
}
