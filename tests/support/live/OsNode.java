import java.nio.file.Path;
import java.util.Map;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.http.HttpServerTransport;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;

/**
 * Runs one node without Bootstrap's root and production checks: for tests on loopback only.
 *
 * <p>Arguments: a home (lib/ modules/ plugins/) and a config folder. It ends when its standard input does, so no node
 * outlives the tests that started it, whatever ends them.
 */
public class OsNode {
    public static void main(String[] args) throws Exception {
        Map<String, String> properties = Map.of("path.home", args[0]);
        Environment environment =
            InternalSettingsPreparer.prepareEnvironment(Settings.EMPTY, properties, Path.of(args[1]), () -> "test-node");
        try (Node node = new Node(environment).start()) {
            var address = node.injector().getInstance(HttpServerTransport.class).boundAddress().publishAddress();
            System.out.println("NODE STARTED " + address);
            while (System.in.read() >= 0) {}
        }
        System.exit(0);
    }
}
