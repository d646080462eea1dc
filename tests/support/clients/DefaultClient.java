import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;

/** Posts the body in a file, with Java's own HTTP client as it is: it offers HTTP/2 on every cleartext request. */
public class DefaultClient {
    public static void main(String[] arguments) throws Exception {
        HttpClient client = HttpClient.newHttpClient();
        byte[] body = Files.readAllBytes(Path.of(arguments[1]));
        BodyPublisher chunked = BodyPublishers.fromPublisher(BodyPublishers.ofByteArray(body));
        for (BodyPublisher publisher : new BodyPublisher[] {BodyPublishers.ofByteArray(body), chunked}) {
            for (boolean expects : new boolean[] {false, true}) {
                HttpRequest request = HttpRequest.newBuilder(URI.create(arguments[0]))
                        .header("Content-Type", "application/json")
                        .expectContinue(expects)
                        .POST(publisher)
                        .build();
                var answer = client.send(request, BodyHandlers.ofString());
                System.out.println(answer.statusCode() + " " + answer.version() + " " + answer.body());
            }
        }
    }
}
