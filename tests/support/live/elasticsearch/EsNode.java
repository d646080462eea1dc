import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.http.HttpServerTransport;
import org.elasticsearch.node.InternalSettingsPreparer;
import org.elasticsearch.node.Node;
import org.elasticsearch.plugins.PluginsLoader;

/** Runs one node of Elasticsearch as `OsNode` runs one of OpenSearch: for tests on loopback only. */
public class EsNode {
    public static void main(String[] args) throws Exception {
        LogConfigurator.configureESLogging();
        Map<String, String> properties = Map.of("path.home", args[0]);
        Environment environment =
            InternalSettingsPreparer.prepareEnvironment(Settings.EMPTY, properties, Path.of(args[1]), () -> "test-node");
        var modules = PluginsLoader.loadModulesBundles(environment.modulesDir());
        var plugins = PluginsLoader.createPluginsLoader(modules, Set.of(), Map.of(), false);
        try (Node node = new Node(environment, plugins).start()) {
            var address = node.injector().getInstance(HttpServerTransport.class).boundAddress().publishAddress();
            System.out.println("NODE STARTED " + address);
            while (System.in.read() >= 0) {}
        }
        System.exit(0);
    }
}
