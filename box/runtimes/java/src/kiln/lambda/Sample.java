package kiln.lambda;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import java.util.List;
import java.util.Map;

/**
 * A function as many are. It is run once when a runtime is made ready, so that the
 * archive of classes holds what functions need; never in an environment.
 */
public final class Sample implements RequestHandler<Sample.Event, Object> {
    /** An event with members of the usual kinds. */
    public static final class Event {
        private String name;
        private int count;
        private List<String> list;
        private Map<String, Object> map;

        public String getName() {
            return name;
        }

        public void setName(String name) {
            this.name = name;
        }

        public int getCount() {
            return count;
        }

        public void setCount(int count) {
            this.count = count;
        }

        public List<String> getList() {
            return list;
        }

        public void setList(List<String> list) {
            this.list = list;
        }

        public Map<String, Object> getMap() {
            return map;
        }

        public void setMap(Map<String, Object> map) {
            this.map = map;
        }
    }

    @Override
    public Object handleRequest(Event event, Context context) {
        if (event.getCount() < 0) {
            throw new IllegalArgumentException(event.getName());
        }
        context.getLogger().log(context.getAwsRequestId());
        return event;
    }
}
