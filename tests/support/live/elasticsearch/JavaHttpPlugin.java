import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Executors;
import java.util.function.BiConsumer;
import java.util.function.Supplier;
import org.elasticsearch.Build;
import org.elasticsearch.action.ActionListener;
import org.elasticsearch.cluster.node.DiscoveryNode;
import org.elasticsearch.common.bytes.BytesArray;
import org.elasticsearch.common.bytes.BytesReference;
import org.elasticsearch.common.component.AbstractLifecycleComponent;
import org.elasticsearch.common.io.stream.BytesStreamOutput;
import org.elasticsearch.common.io.stream.NamedWriteableRegistry;
import org.elasticsearch.common.network.NetworkService;
import org.elasticsearch.common.settings.ClusterSettings;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.common.transport.BoundTransportAddress;
import org.elasticsearch.common.transport.TransportAddress;
import org.elasticsearch.common.util.BigArrays;
import org.elasticsearch.common.util.PageCacheRecycler;
import org.elasticsearch.common.util.concurrent.ThreadContext;
import org.elasticsearch.http.HttpBody;
import org.elasticsearch.http.HttpChannel;
import org.elasticsearch.http.HttpInfo;
import org.elasticsearch.http.HttpPreRequest;
import org.elasticsearch.http.HttpRequest;
import org.elasticsearch.http.HttpResponse;
import org.elasticsearch.http.HttpServerTransport;
import org.elasticsearch.http.HttpStats;
import org.elasticsearch.index.IndexVersion;
import org.elasticsearch.indices.breaker.CircuitBreakerService;
import org.elasticsearch.plugins.NetworkPlugin;
import org.elasticsearch.plugins.Plugin;
import org.elasticsearch.rest.AbstractRestChannel;
import org.elasticsearch.rest.ChunkedRestResponseBodyPart;
import org.elasticsearch.rest.RestRequest;
import org.elasticsearch.rest.RestResponse;
import org.elasticsearch.rest.RestStatus;
import org.elasticsearch.telemetry.TelemetryProvider;
import org.elasticsearch.telemetry.tracing.Tracer;
import org.elasticsearch.threadpool.ThreadPool;
import org.elasticsearch.transport.BytesRefRecycler;
import org.elasticsearch.transport.ConnectTransportException;
import org.elasticsearch.transport.ConnectionProfile;
import org.elasticsearch.transport.Transport;
import org.elasticsearch.transport.TransportMessageListener;
import org.elasticsearch.transport.TransportStats;
import org.elasticsearch.xcontent.NamedXContentRegistry;
import org.elasticsearch.xcontent.XContentParserConfiguration;

/**
 * Gives a node of one the HTTP server of the JDK, and no transport to other nodes: Maven Central has the server of
 * Elasticsearch and not its module transport-netty4. The requests go to the server's own REST layer, so the answers are
 * its own.
 */
public class JavaHttpPlugin extends Plugin implements NetworkPlugin {
    /** The answer to GET /, which is the work of another module; its shape is that of the documentation. */
    static final String ABOUT =
        "{\"name\":\"test-node\",\"cluster_name\":\"rerank-sidecar-test\",\"version\":{\"number\":\"%s\","
            + "\"build_flavor\":\"default\",\"lucene_version\":\"%s\"},\"tagline\":\"You Know, for Search\"}";

    @Override
    public Map<String, Supplier<Transport>> getTransports(
        Settings settings, ThreadPool threads, PageCacheRecycler recycler, CircuitBreakerService breakers,
        NamedWriteableRegistry registry, NetworkService network
    ) {
        return Map.of("none", NoTransport::new);
    }

    /** Of Elasticsearch 8. */
    public Map<String, Supplier<HttpServerTransport>> getHttpTransports(
        Settings settings, ThreadPool threads, BigArrays arrays, PageCacheRecycler recycler,
        CircuitBreakerService breakers, NamedXContentRegistry registry, NetworkService network,
        HttpServerTransport.Dispatcher dispatcher, BiConsumer<HttpPreRequest, ThreadContext> before,
        ClusterSettings clusterSettings, Tracer tracer
    ) {
        return Map.of("java", () -> new JavaHttp(threads, recycler, registry, dispatcher, before));
    }

    /** Of Elasticsearch 9. */
    public Map<String, Supplier<HttpServerTransport>> getHttpTransports(
        Settings settings, ThreadPool threads, BigArrays arrays, PageCacheRecycler recycler,
        CircuitBreakerService breakers, NamedXContentRegistry registry, NetworkService network,
        HttpServerTransport.Dispatcher dispatcher, BiConsumer<HttpPreRequest, ThreadContext> before,
        ClusterSettings clusterSettings, TelemetryProvider telemetry
    ) {
        return Map.of("java", () -> new JavaHttp(threads, recycler, registry, dispatcher, before));
    }

    static BoundTransportAddress bound(InetSocketAddress address) {
        TransportAddress one = new TransportAddress(address);
        return new BoundTransportAddress(new TransportAddress[] {one}, one);
    }

    /** A transport of a node that has no other nodes. */
    static class NoTransport extends AbstractLifecycleComponent implements Transport {
        private final ResponseHandlers responses = new ResponseHandlers();
        private final RequestHandlers requests = new RequestHandlers();

        @Override public void setMessageListener(TransportMessageListener listener) {}
        @Override public BoundTransportAddress boundAddress() {
            return bound(new InetSocketAddress(InetAddress.getLoopbackAddress(), 9300));
        }
        @Override public BoundTransportAddress boundRemoteIngressAddress() { return null; }
        @Override public Map<String, BoundTransportAddress> profileBoundAddresses() { return Map.of(); }
        @Override public TransportAddress[] addressesFromString(String address) { return new TransportAddress[0]; }
        @Override public List<String> getDefaultSeedAddresses() { return List.of(); }
        @Override public void openConnection(DiscoveryNode node, ConnectionProfile profile, ActionListener<Connection> to) {
            to.onFailure(new ConnectTransportException(node, "there are no other nodes"));
        }
        @Override public TransportStats getStats() {
            return new TransportStats(0, 0, 0, 0, 0, 0, new long[0], new long[0], Map.of());
        }
        @Override public ResponseHandlers getResponseHandlers() { return responses; }
        @Override public RequestHandlers getRequestHandlers() { return requests; }
        @Override protected void doStart() {}
        @Override protected void doStop() {}
        @Override protected void doClose() {}
    }

    /** The JDK's HTTP server in front of the REST layer. */
    static class JavaHttp extends AbstractLifecycleComponent implements HttpServerTransport {
        private final ThreadPool threads;
        private final PageCacheRecycler recycler;
        private final XContentParserConfiguration parsing;
        private final Dispatcher dispatcher;
        private final BiConsumer<HttpPreRequest, ThreadContext> before;
        private final HttpServer server;

        JavaHttp(
            ThreadPool threads, PageCacheRecycler recycler, NamedXContentRegistry registry, Dispatcher dispatcher,
            BiConsumer<HttpPreRequest, ThreadContext> before
        ) {
            this.threads = threads;
            this.recycler = recycler;
            this.parsing = XContentParserConfiguration.EMPTY.withRegistry(registry);
            this.dispatcher = dispatcher;
            this.before = before;
            try {
                server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
            } catch (IOException error) {
                throw new IllegalStateException(error);
            }
            server.setExecutor(Executors.newCachedThreadPool());
            server.createContext("/", this::handle);
        }

        @Override public BoundTransportAddress boundAddress() { return bound(server.getAddress()); }
        @Override public HttpInfo info() { return new HttpInfo(boundAddress(), 1 << 26); }
        @Override public HttpStats stats() { return new HttpStats(0, 0); }
        @Override protected void doStart() { server.start(); }
        @Override protected void doStop() { server.stop(0); }
        @Override protected void doClose() {}

        private void handle(HttpExchange exchange) throws IOException {
            if (exchange.getRequestURI().getPath().equals("/") && exchange.getRequestMethod().equals("GET")) {
                answer(exchange, 200, ABOUT.formatted(Build.current().version(), IndexVersion.current().luceneVersion()));
                return;
            }
            ThreadContext context = threads.getThreadContext();
            Incoming incoming = new Incoming(exchange, new BytesArray(exchange.getRequestBody().readAllBytes()));
            RestRequest request;
            try {
                request = RestRequest.request(parsing, incoming, new Channel(exchange));
            } catch (RuntimeException refused) {
                answer(exchange, 400, "{\"error\":{\"type\":\"%s\"},\"status\":400}".formatted(refused.getClass().getSimpleName()));
                return;
            }
            try (var ignored = context.stashContext()) {
                before.accept(incoming, context);
                dispatcher.dispatchRequest(request, new Outgoing(request, exchange, context, recycler), context);
            }
        }
    }

    static void answer(HttpExchange exchange, int status, String json) throws IOException {
        try (exchange) {
            byte[] body = json.getBytes(StandardCharsets.UTF_8);
            exchange.getResponseHeaders().set("content-type", "application/json");
            exchange.getResponseHeaders().set("X-elastic-product", "Elasticsearch");
            exchange.sendResponseHeaders(status, body.length);
            exchange.getResponseBody().write(body);
        }
    }

    /** Writes an answer. */
    static class Outgoing extends AbstractRestChannel {
        private final HttpExchange exchange;
        private final ThreadContext context;
        private final PageCacheRecycler recycler;

        Outgoing(RestRequest request, HttpExchange exchange, ThreadContext context, PageCacheRecycler recycler) {
            super(request, true);
            this.exchange = exchange;
            this.context = context;
            this.recycler = recycler;
        }

        @Override
        public void sendResponse(RestResponse response) {
            try (exchange; response) {
                byte[] body = BytesReference.toBytes(response.isChunked() ? whole(response.chunkedContent()) : response.content());
                var headers = exchange.getResponseHeaders();
                response.filterHeaders(context.getResponseHeaders()).forEach((name, values) -> headers.put(name, values));
                response.getHeaders().forEach((name, values) -> headers.put(name, values));
                headers.set("content-type", response.contentType());
                boolean bodiless = exchange.getRequestMethod().equals("HEAD") || body.length == 0;
                exchange.sendResponseHeaders(response.status().getStatus(), bodiless ? -1 : body.length);
                if (!bodiless) {
                    exchange.getResponseBody().write(body);
                }
            } catch (IOException gone) {
                // The client left.
            }
        }

        private BytesReference whole(ChunkedRestResponseBodyPart part) throws IOException {
            var bytes = new BytesStreamOutput();
            while (!part.isPartComplete()) {
                try (var chunk = part.encodeChunk(1 << 16, new BytesRefRecycler(recycler))) {
                    chunk.writeTo((OutputStream) bytes);
                }
            }
            return bytes.bytes();
        }
    }

    /** A request as the REST layer reads it. */
    static class Incoming implements HttpRequest {
        private final HttpExchange exchange;
        private HttpBody body;

        Incoming(HttpExchange exchange, BytesReference bytes) {
            this.exchange = exchange;
            this.body = HttpBody.fromBytesReference(bytes);
        }

        @Override public RestRequest.Method method() { return RestRequest.Method.valueOf(exchange.getRequestMethod()); }
        @Override public String uri() { return exchange.getRequestURI().toString(); }
        @Override public Map<String, List<String>> getHeaders() { return exchange.getRequestHeaders(); }
        @Override public HttpBody body() { return body; }
        public void setBody(HttpBody other) { body = other; }
        public boolean hasContent() { return body.asFull().bytes().length() > 0; }
        @Override public List<String> strictCookies() { return List.of(); }
        @Override public HttpVersion protocolVersion() { return HttpVersion.HTTP_1_1; }
        @Override public HttpRequest removeHeader(String name) { return this; }
        @Override public HttpResponse createResponse(RestStatus status, BytesReference content) { return null; }
        @Override public HttpResponse createResponse(RestStatus status, ChunkedRestResponseBodyPart part) { return null; }
        @Override public Exception getInboundException() { return null; }
        @Override public void release() {}
    }

    /** The connection of a request, of which the REST layer only asks the addresses. */
    record Channel(HttpExchange exchange) implements HttpChannel {
        @Override public void sendResponse(HttpResponse response, ActionListener<Void> listener) { listener.onResponse(null); }
        @Override public InetSocketAddress getLocalAddress() { return exchange.getLocalAddress(); }
        @Override public InetSocketAddress getRemoteAddress() { return exchange.getRemoteAddress(); }
        @Override public void close() {}
        @Override public void addCloseListener(ActionListener<Void> listener) {}
        @Override public boolean isOpen() { return true; }
    }
}
